// Makes calls with openai-node and the AI SDK: one job a line on standard input, one outcome a line on standard output.

import { createInterface } from "node:readline";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, streamText, tool } from "ai";
import OpenAI from "openai";

const PARAMETERS = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const QUESTION = [{ role: "user", content: "Hi" }];

globalThis.AI_SDK_LOG_WARNINGS = false;

class Gathering {
  outcome = { text: "", tool_calls: [], usage: null, finish: null, error: null, status: null, code: null, raised: false };
  calls = new Map();

  fail(error, raised) {
    const told = error?.data?.error ?? error?.error ?? error;
    this.outcome.error = `${error?.name ?? "error"}: ${error?.message ?? JSON.stringify(error)}`;
    this.outcome.status = error?.status ?? error?.statusCode ?? null;
    this.outcome.code = typeof told?.code === "string" ? told.code : null;
    this.outcome.raised = raised;
  }

  completion(answer) {
    const choice = answer.choices[0];
    this.outcome.text = choice.message.content ?? "";
    this.outcome.tool_calls = (choice.message.tool_calls ?? []).map((c) => [c.function.name, c.function.arguments]);
    this.outcome.finish = choice.finish_reason ?? null;
    this.outcome.usage = counts(answer.usage);
  }

  chunk(chunk) {
    if (chunk.usage) this.outcome.usage = counts(chunk.usage);
    for (const choice of chunk.choices) {
      this.outcome.text += choice.delta.content ?? "";
      for (const call of choice.delta.tool_calls ?? []) {
        const gathered = this.calls.get(call.index) ?? ["", ""];
        gathered[0] += call.function.name ?? "";
        gathered[1] += call.function.arguments ?? "";
        this.calls.set(call.index, gathered);
        this.outcome.tool_calls = [...this.calls.values()];
      }
      if (choice.finish_reason) this.outcome.finish = choice.finish_reason;
    }
  }

  textChunk(chunk) {
    for (const choice of chunk.choices) {
      this.outcome.text += choice.text;
      if (choice.finish_reason) this.outcome.finish = choice.finish_reason;
    }
  }

  response(answer) {
    this.outcome.text = answer.output_text;
    const calls = answer.output.filter((item) => item.type === "function_call");
    this.outcome.tool_calls = calls.map((item) => [item.name, item.arguments]);
    this.outcome.usage = counts(answer.usage);
    if (answer.error) this.fail({ name: answer.status, ...answer.error }, false);
    else this.outcome.finish = answer.status ?? null;
  }

  event(event) {
    if (event.type === "response.output_text.delta") {
      this.outcome.text += event.delta;
    } else if (event.type === "response.output_item.done" && event.item.type === "function_call") {
      this.outcome.tool_calls.push([event.item.name, event.item.arguments]);
    } else if (event.type === "response.completed" || event.type === "response.incomplete") {
      this.outcome.finish = event.response.status;
      this.outcome.usage = counts(event.response.usage);
    } else if (event.type === "response.failed") {
      this.fail({ name: "response.failed", ...event.response.error }, false);
    } else if (event.type === "error") {
      this.fail({ ...event, name: "error" }, false);
    }
  }
}

function counts(usage) {
  if (!usage) return null;
  return Object.fromEntries(Object.entries(usage).filter(([, count]) => typeof count === "number"));
}

async function useOpenai(job, gathering) {
  const sdk = new OpenAI({ baseURL: job.base_url, apiKey: "any", maxRetries: 0, timeout: job.timeout_s * 1000 });
  const signal = AbortSignal.timeout(job.timeout_s * 1000); // the SDK's own limit ends with the head
  const stream = job.call.endsWith("stream");
  if (job.call === "completions stream") {
    const answer = await sdk.completions.create({ model: "m", prompt: "Hi", stream }, { signal });
    for await (const chunk of answer) gathering.textChunk(chunk);
  } else if (job.call.startsWith("chat")) {
    const usage = stream && job.asks_usage ? { stream_options: { include_usage: true } } : {};
    const tools = [{ type: "function", function: { name: "get_weather", parameters: PARAMETERS } }];
    const answer = await sdk.chat.completions.create({ model: "m", messages: QUESTION, tools, stream, ...usage }, { signal });
    if (!stream) return gathering.completion(answer);
    for await (const chunk of answer) gathering.chunk(chunk);
  } else {
    const tools = [{ type: "function", name: "get_weather", parameters: PARAMETERS, strict: false }];
    const answer = await sdk.responses.create({ model: "m", input: "Hi", tools, stream }, { signal });
    if (!stream) return gathering.response(answer);
    for await (const event of answer) gathering.event(event);
  }
  if (signal.aborted) throw signal.reason; // an aborted stream ends the SDK's loop without a word
}

async function useAi(job, gathering) {
  const provider = createOpenAICompatible({
    name: "upstream",
    baseURL: job.base_url,
    apiKey: "any",
    includeUsage: job.asks_usage,
  });
  const options = {
    ...(job.call === "completions stream"
      ? { model: provider.completionModel("m"), prompt: "Hi" }
      : {
          model: provider.chatModel("m"),
          messages: QUESTION,
          tools: { get_weather: tool({ inputSchema: jsonSchema(PARAMETERS) }) },
        }),
    maxRetries: 0,
    abortSignal: AbortSignal.timeout(job.timeout_s * 1000),
  };
  const { outcome } = gathering;
  if (job.call === "chat") {
    const answer = await generateText(options);
    outcome.text = answer.text;
    outcome.tool_calls = answer.toolCalls.map((call) => [call.toolName, JSON.stringify(call.input)]);
    outcome.usage = counts(answer.totalUsage);
    outcome.finish = answer.finishReason;
    return;
  }
  for await (const part of streamText({ ...options, onError() {} }).fullStream) {
    if (part.type === "text-delta") {
      outcome.text += part.text;
    } else if (part.type === "tool-call") {
      outcome.tool_calls.push([part.toolName, JSON.stringify(part.input)]);
    } else if (part.type === "finish") {
      outcome.usage = counts(part.totalUsage);
      // Where the upstream gave no reason the SDK says "other", and is told apart by having none to quote.
      outcome.finish = part.rawFinishReason === undefined ? null : part.finishReason;
    } else if (part.type === "error") {
      gathering.fail(part.error, false);
    } else if (part.type === "abort") {
      gathering.fail({ name: "abort", message: String(part.reason ?? "") }, false);
    }
  }
}

async function run(job) {
  const gathering = new Gathering();
  try {
    await (job.sdk === "openai-node" ? useOpenai : useAi)(job, gathering);
  } catch (error) {
    gathering.fail(error, true);
  }
  process.stdout.write(JSON.stringify({ id: job.id, outcome: gathering.outcome }) + "\n");
}

for await (const line of createInterface({ input: process.stdin })) {
  run(JSON.parse(line));
}
