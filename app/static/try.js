// Draw or drop a picture, ask /score, show the three best. The server does all preparing, so that this page, curl
// and any other client get the same answer for the same picture.

const paper = document.getElementById("paper");
const pen = paper.getContext("2d", { willReadFrequently: true });
const status = document.getElementById("status");
const mark = document.getElementById("pen");
const best = document.getElementById("best");
const file = document.getElementById("file");
const picture = document.querySelector(".picture");
const LARGEST = 1024; // pixels on the longer side of what is sent: a phone's camera makes more than any model looks at
const STEP = 7; // pixels that an arrow key moves the pen

let last = null; // where the pen is while it draws
let cursor = { x: paper.width / 2, y: paper.height / 2, down: false };
let asked = 0; // number of the newest question: answers to older ones are dropped

function clear() {
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, paper.width, paper.height);
  pen.strokeStyle = pen.fillStyle = "#111";
  pen.lineWidth = 24;
  pen.lineCap = pen.lineJoin = "round";
  asked += 1;
  cursor.down = false;
  last = null;
  best.replaceChildren();
  say("Waiting for a picture.");
}

function say(text, problem = false) {
  status.textContent = text;
  status.classList.toggle("problem", problem);
}

function line(from, to) {
  pen.beginPath();
  pen.moveTo(from.x, from.y);
  pen.lineTo(to.x, to.y);
  pen.stroke();
}

function place(event) {
  const edge = paper.getBoundingClientRect();
  const scale = paper.width / edge.width;
  return { x: (event.clientX - edge.left) * scale, y: (event.clientY - edge.top) * scale };
}

document.getElementById("clear").addEventListener("click", clear);

// ── mouse, touch, pen ──────────────────────────────────────────────────────────────────────────────

paper.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return;
  paper.setPointerCapture(event.pointerId);
  last = place(event);
  line(last, last);
});

paper.addEventListener("pointermove", (event) => {
  if (last === null || !event.isPrimary) return;
  const passed = event.getCoalescedEvents?.() ?? [];
  for (const point of [...passed, event].map(place)) {
    line(last, point);
    last = point;
  }
});

for (const end of ["pointerup", "pointercancel"]) {
  paper.addEventListener(end, (event) => {
    if (last === null || !event.isPrimary) return;
    last = null;
    askAboutPaper();
  });
}

// ── keyboard ───────────────────────────────────────────────────────────────────────────────────────

const MOVES = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

paper.addEventListener("keydown", (event) => {
  if (event.key === " ") {
    event.preventDefault();
    if (event.repeat) return;
    cursor.down = !cursor.down;
    if (cursor.down) line(cursor, cursor);
    else askAboutPaper();
    say(cursor.down ? "The pen is down." : "The pen is up.");
  } else if (event.key in MOVES) {
    event.preventDefault();
    const [x, y] = MOVES[event.key];
    const within = (value) => Math.min(paper.width, Math.max(0, value));
    const next = { ...cursor, x: within(cursor.x + x), y: within(cursor.y + y) };
    if (cursor.down) line(cursor, next);
    cursor = next;
    mark.style.left = percent(cursor.x);
    mark.style.top = percent(cursor.y);
    say(`The pen is ${cursor.down ? "down" : "up"}, ${percent(cursor.x)} from the left, ${percent(cursor.y)} from the top.`);
  }
});

function percent(pixels) {
  return `${Math.round((100 * pixels) / paper.width)}%`;
}

// ── files ──────────────────────────────────────────────────────────────────────────────────────────

file.addEventListener("change", () => {
  if (file.files.length > 0) show(file.files[0]);
  file.value = ""; // so that the same file can be chosen again
});

for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    picture.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length > 0) show(event.dataTransfer.files[0]);
  });
}

async function show(blob) {
  clear();
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    say(`${blob.name || "This"} is not a picture that this browser can read.`, true);
    return;
  }
  const fit = Math.min(paper.width / bitmap.width, paper.height / bitmap.height);
  const [width, height] = [bitmap.width * fit, bitmap.height * fit];
  pen.imageSmoothingEnabled = fit < 1;
  pen.drawImage(bitmap, (paper.width - width) / 2, (paper.height - height) / 2, width, height);
  const shrink = LARGEST / Math.max(bitmap.width, bitmap.height);
  if (shrink >= 1) {
    await ask(blob);
    return;
  }
  const smaller = document.createElement("canvas");
  smaller.width = Math.max(1, Math.round(bitmap.width * shrink));
  smaller.height = Math.max(1, Math.round(bitmap.height * shrink));
  const brush = smaller.getContext("2d");
  brush.imageSmoothingQuality = "high";
  brush.drawImage(bitmap, 0, 0, smaller.width, smaller.height);
  smaller.toBlob(ask, "image/png");
}

// ── asking ─────────────────────────────────────────────────────────────────────────────────────────

function askAboutPaper() {
  paper.toBlob(ask, "image/png");
}

async function ask(blob) {
  const number = ++asked;
  try {
    const input = [await base64(blob)];
    const response = await fetch("score", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ input }),
    });
    const answer = await response.json();
    if (number !== asked) return;
    if (!response.ok) {
      say(answer.detail, true);
      return;
    }
    const [[guesses], took] = answer.result;
    best.replaceChildren(...guesses.map(row));
    document.getElementById("commit").textContent = response.headers.get("X-Commit");
    document.getElementById("model").textContent = response.headers.get("X-Model");
    say(`${guesses[0][0]}, ${guesses[0][1]} % sure. ${took}.`);
  } catch (error) {
    if (number === asked) say(`The server did not answer (${error.message}). Draw on to ask again.`, true);
  }
}

function row([label, share]) {
  const item = document.createElement("li");
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.style.width = `${Math.max(0, Math.min(100, share))}%`;
  item.append(bar, span("label", label), span("percent", `${share.toFixed(2)} %`));
  return item;
}

function span(kind, text) {
  const element = document.createElement("span");
  element.className = kind;
  element.textContent = text;
  return element;
}

function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",", 2)[1] ?? "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

clear();
