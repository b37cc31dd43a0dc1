// The same ticks for two readers. The healthy one is a WebSocket, which also is the session. The
// slow one is the body of a fetch(), which is read no faster than the slider says. On the WebSocket
// the server is told how far it was read, and does not send much more than that.

import { fill, toggles } from "/page/controls.js";

const PIECE_BYTES = 16 * 1024;
const TELL_BYTES = 32 * 1024; // a fraction of what the server sends unread
const STEP_MS = 50;
const RECONNECT_MS = 1000;

const section = document.getElementById("slow-reader");
const { policy, speed } = section.querySelector("form").elements;

const showSpeed = () => fill(section, { speed: Number(speed.value) });
speed.addEventListener("input", showSpeed);
showSpeed();

// What one side has read, shown beside what the hub has counted.
class Reading {
  #side;
  #began = performance.now();
  #figures = { last: 0, gaps: 0, missed: 0 };
  #bytes = 0;
  #rate = 0;

  constructor(side) {
    this.#side = side;
  }

  took(bytes) {
    this.#bytes += bytes;
  }

  tick({ number }) {
    this.#figures.last = number;
  }

  gap({ missed }) {
    this.#figures.gaps += 1;
    this.#figures.missed += missed ?? 0;
  }

  show(counters) {
    const seconds = (performance.now() - this.#began) / 1000;
    if (seconds >= 1) {
      this.#rate = Math.round(this.#bytes / 1024 / seconds);
      this.#began = performance.now();
      this.#bytes = 0;
    }
    const { pending_bytes: pendingBytes, ...others } = counters;
    const pendingKib = Math.round(pendingBytes / 1024);
    const figures = { ...this.#figures, rate: this.#rate, ...others, pending_kib: pendingKib };
    for (const [name, value] of Object.entries(figures)) {
      fill(section, { [`${this.#side}-${name}`]: value });
    }
  }
}

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop);
  });
}

// The session and the healthy reader, until either ends. `opened` is called with the token, and
// with a function that says how far the slow one was read.
function readHealthy(reading, signal, opened) {
  return new Promise((_, reject) => {
    const url = new URL(`/slow-reader?policy=${policy.value}`, location);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    const tell = (bytes) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "read", bytes }));
    };
    socket.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "session") opened(message.token, tell);
      else if (message.type === "gap") reading.gap(message);
      else {
        reading.took(data.length);
        reading.tick(message);
      }
    });
    socket.addEventListener("close", ({ code, reason }) => {
      reject(new Error(reason ? `${code}, ${reason}` : `the connection ended with ${code}`));
    });
    signal.addEventListener("abort", () => {
      socket.close(1000);
      reject(signal.reason);
    });
  });
}

// The slow reader. A connection that ends is made again, behind the last event that was read.
async function readSlowly(reading, signal, token, tell) {
  const events = new Events(reading);
  for (;;) {
    const headers = events.lastId ? { "Last-Event-ID": events.lastId } : {};
    const response = await fetch(`/slow-reader/${token}/ticks`, { headers, signal });
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    events.begin();
    try {
      await readBody(response.body.getReader(), reading, signal, events, tell);
    } catch (error) {
      if (signal.aborted) throw error; // else the connection broke
    }
    await sleep(RECONNECT_MS, signal);
  }
}

async function readBody(reader, reading, signal, events, tell) {
  let read = 0;
  let told = 0;
  for await (const piece of inPieces(reader, signal)) {
    reading.took(piece.length);
    events.feed(piece);
    read += piece.length;
    if (read - told >= TELL_BYTES) tell((told = read));
  }
}

// What a body has, no faster than the slider says, which may be moved meanwhile.
async function* inPieces(reader, signal) {
  let debt = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    for (let begin = 0; begin < value.length; begin += PIECE_BYTES) {
      const piece = value.subarray(begin, begin + PIECE_BYTES);
      debt += piece.length;
      while (debt > 0) {
        const began = performance.now();
        await sleep(STEP_MS, signal);
        debt -= Number(speed.value) * 1024 * ((performance.now() - began) / 1000);
      }
      yield piece;
    }
  }
}

// Server-sent events out of pieces. EventSource will not do: it reads as fast as it can.
class Events {
  lastId = "";
  #reading;
  #decoder = new TextDecoder();
  #rest = "";

  constructor(reading) {
    this.#reading = reading;
  }

  feed(piece) {
    const blocks = (this.#rest + this.#decoder.decode(piece, { stream: true })).split("\n\n");
    this.#rest = blocks.pop();
    for (const block of blocks) this.#take(block);
  }

  // With a connection: what the last one began and did not end is no event.
  begin() {
    this.#decoder = new TextDecoder();
    this.#rest = "";
  }

  #take(block) {
    const fields = {};
    for (const line of block.split("\n")) {
      const [, name, value] = line.match(/^(\w+): ?(.*)$/) ?? [];
      if (name) fields[name] = value;
    }
    if (fields.id) this.lastId = fields.id;
    if (!fields.data) return;
    if (fields.event === "gap") this.#reading.gap(JSON.parse(fields.data));
    else this.#reading.tick(JSON.parse(fields.data));
  }
}

function showCounters(readings, signal, token) {
  return new Promise((_, reject) => {
    const source = new EventSource(`/slow-reader/${token}/counters`);
    source.addEventListener("message", ({ data }) => {
      const { published, ...sides } = JSON.parse(data);
      fill(section, { published });
      for (const [side, counters] of Object.entries(sides)) readings[side].show(counters);
    });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) reject(new Error("there are no counters"));
    });
    signal.addEventListener("abort", () => {
      source.close();
      reject(signal.reason);
    });
  });
}

// One session: until one of its three connections ends for good, or `signal` is aborted. However it
// ends, all three do.
async function runSession(signal, say) {
  const own = new AbortController();
  const all = AbortSignal.any([signal, own.signal]);
  const readings = { slow: new Reading("slow"), healthy: new Reading("healthy") };
  say("connecting");
  try {
    await new Promise((_, reject) => {
      readHealthy(readings.healthy, all, (token, tell) => {
        say(`running: ${policy.value}`);
        readSlowly(readings.slow, all, token, tell).catch(reject);
        showCounters(readings, all, token).catch(reject);
      }).catch(reject);
    });
  } finally {
    own.abort();
  }
}

// A policy is a session's for good: another one begins another.
async function run(signal, say) {
  for (;;) {
    const changed = new AbortController();
    const change = () => changed.abort();
    policy.addEventListener("change", change);
    try {
      await runSession(AbortSignal.any([signal, changed.signal]), say);
    } catch (error) {
      if (signal.aborted || !changed.signal.aborted) throw error;
    } finally {
      policy.removeEventListener("change", change);
    }
  }
}

toggles(section, run);
