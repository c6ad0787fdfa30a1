// The page of approvals, drawn by the program: it is asked for anew when a question has come or gone.
import { ROOT, get } from "./core.js";

const EVERY_MS = 1000;
const shown = [...document.querySelectorAll("section[id^=question-]")].map((each) => each.id.replace("question-", "")).join();

setInterval(async () => {
  if (document.hidden) return;
  try {
    const { questions } = await get("questions");
    if (questions.join() !== shown) location.replace(`${ROOT}/approvals`);
  } catch { /* the next look may reach it */ }
}, EVERY_MS);
