// The page on which tools are connected, drawn by the program: each tool's last request is told as it comes.
import { get } from "./core.js";

const EVERY_MS = 2000;

function tell(name, words) {
  const section = document.getElementById(name);
  let place = section?.querySelector(".seen");
  if (!section || (!words && !place)) return;
  if (!place) {
    section.querySelectorAll(":scope > p:not(.note)").forEach((each) => each.remove()); // "No request has been seen"
    place = document.createElement("p");
    place.className = "seen";
    section.querySelector("h2").after(place);
    document.getElementById("first-seen").textContent = `${section.querySelector("h2").textContent}: ${words}`; // said once
  }
  place.textContent = words ? `✓ ${words}` : "";
}

setInterval(async () => {
  if (document.hidden) return;
  try {
    const { seen } = await get("connect");
    for (const [name, words] of Object.entries(seen)) tell(name, words);
  } catch { /* the next look may reach it */ }
}, EVERY_MS);
