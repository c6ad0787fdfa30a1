// Talks to a realtime model as a page does: openai-node over the WebSocket that browsers have, its key a sub-protocol.
// Arguments: the base URL and the key. Prints what it learned as one line of JSON.

import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { WebSocket } from "undici";

globalThis.WebSocket = WebSocket; // Node has it from version 22 on; this is the same one

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey });
const onURL = (url) => (url.protocol = "ws:"); // it would speak TLS to every host
const realtime = new OpenAIRealtimeWebSocket({ model: "gpt-realtime", onURL }, client);
const told = { events: [], text: "", protocol: null, error: null, closed: null };

realtime.on("error", (error) => (told.error = error.message));
realtime.on("event", (event) => told.events.push(event.type));
realtime.on("response.output_text.delta", (event) => (told.text += event.delta));
realtime.on("response.done", () => realtime.socket.close(4000, "done"));
realtime.socket.addEventListener("open", () => {
  told.protocol = realtime.socket.protocol;
  const content = [{ type: "input_text", text: "Grüße" }];
  realtime.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  realtime.send({ type: "response.create" });
});
realtime.socket.addEventListener("close", (event) => (told.closed = event.code));
process.on("exit", () => console.log(JSON.stringify(told)));
