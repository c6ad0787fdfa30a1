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

const tick = () => {
  for (const each of document.querySelectorAll(".countdown")) {
    each.textContent = `refused by itself in ${Math.max(0, Math.round(Number(each.dataset.ends) - Date.now() / 1000))} s`;
  }
};
setInterval(tick, 500);
