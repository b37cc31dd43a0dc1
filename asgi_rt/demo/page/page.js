// Events come through Feed, from an EventSource; the other streams are read line by line from the
// body of a fetch().

import { fill, toggles } from "/page/controls.js";
import { Feed, Tally } from "/page/live.js";

const LAST_LINES = 5;
const SAMPLES = 120;

async function* readLines(url, signal) {
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    yield lines;
  }
  if (rest) yield [rest];
}

const metrics = document.getElementById("metrics");
const curve = metrics.querySelector("polyline");
let metricsGaps = 0;
let samples = [];

// The processor's use, the newest on the right. The server has older samples for who comes now.
function showSamples() {
  const begin = SAMPLES - samples.length;
  curve.setAttribute(
    "points",
    samples.map((percent, index) => `${begin + index},${100 - Math.min(100, percent)}`).join(" "),
  );
}

const metricsFeed = new Feed("/metrics", {
  message: (sample) => {
    samples = [...samples, sample.cpu_percent].slice(-SAMPLES);
    showSamples();
    fill(metrics, sample);
  },
  gap: () => {
    samples = [];
    showSamples();
    fill(metrics, { gaps: ++metricsGaps });
  },
});
toggles(metrics, (signal, say) => metricsFeed.run(signal, say));

const journal = document.getElementById("journal");
const lastEntries = journal.querySelector("pre");
const tally = new Tally();
// Known to this page and the server alone: it names this page's connection to be dropped.
const token = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
  byte.toString(16).padStart(2, "0"),
).join("");
let entries = [];
const journalFeed = new Feed(`/journal?token=${token}`, {
  open: () => fill(journal, tally.connected()),
  message: ({ number, time, process }) => {
    fill(journal, tally.received(number));
    const line = `${number}  ${time.slice(11, 23)}  from process ${process}`;
    entries = [...entries, line].slice(-LAST_LINES);
    lastEntries.textContent = entries.join("\n");
  },
  gap: (gap, id) => fill(journal, tally.gap(Number(id))),
});
toggles(journal, (signal, say) => journalFeed.run(signal, say));

document.getElementById("drop").addEventListener("click", async () => {
  const status = journal.querySelector("[role=status]");
  try {
    const response = await fetch(`/streams/${token}/drop`, { method: "POST" });
    if (response.status === 404) status.textContent = "there is no connection to drop";
    else if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  } catch (error) {
    status.textContent = `failed: ${error.message}`;
  }
});

const measurements = document.getElementById("measurements");
const station = measurements.querySelector("select");
const lastRow = measurements.querySelector("pre");

function forStation(path) {
  return station.value ? `${path}?station=${station.value}` : path;
}

station.addEventListener("change", () => {
  for (const link of measurements.querySelectorAll("[data-path]")) {
    link.href = forStation(link.dataset.path);
  }
});

toggles(measurements, async (signal) => {
  const began = performance.now();
  let rows = 0;
  for await (const lines of readLines(forStation("/measurements.ndjson"), signal)) {
    rows += lines.length;
    const rate = Math.round(rows / ((performance.now() - began) / 1000));
    fill(measurements, { rows, rate });
    if (lines.length) lastRow.textContent = lines.at(-1);
  }
});

const slow = document.getElementById("slow");
const lastLines = slow.querySelector("pre");
toggles(slow, async (signal) => {
  let shown = [];
  for await (const lines of readLines("/slow", signal)) {
    shown = shown.concat(lines).slice(-LAST_LINES);
    lastLines.textContent = shown.join("\n");
  }
});

// Gives a section's form its work, and shows what became of it.
function submits(section, send) {
  const status = section.querySelector("[role=status]");
  section.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    status.textContent = "sending";
    try {
      status.textContent = await send(new FormData(event.target));
    } catch (error) {
      status.textContent = `failed: ${error.message}`;
    }
  });
}

const range = document.getElementById("range");
submits(range, async (form) => {
  const headers = { Range: `bytes=${form.get("first")}-${form.get("last")}` };
  const response = await fetch("/files/large.bin", { headers });
  const bytes = range.querySelector("pre");
  bytes.textContent = "";
  if (response.status === 206) bytes.textContent = await response.text();
  else await response.body.cancel();
  return `${response.status}: ${response.headers.get("content-range") ?? "the whole file"}`;
});

const upload = document.getElementById("upload");
const result = document.getElementById("upload-result");
submits(upload, async (form) => {
  const response = await fetch("/upload", { method: "POST", body: form });
  const answer = await response.json();
  result.replaceChildren();
  if (!response.ok) throw new Error(answer.detail ?? answer.title);
  for (const [name, value] of Object.entries(answer)) {
    const term = document.createElement("dt");
    const description = document.createElement("dd");
    term.textContent = name;
    description.textContent = value.toLocaleString();
    result.append(term, description);
  }
  return "done";
});

for (const section of [metrics, journal]) section.querySelector(".controls button").click();
for (const { id, name } of await (await fetch("/api/stations")).json()) {
  station.append(new Option(name, id));
}
