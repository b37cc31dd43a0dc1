// One room of the chat. Messages are objects in JSON, told apart by their `type`: chat.py has them.

import { fill, toggles } from "/page/controls.js";
import { LiveSocket } from "/page/socket.js";

const MAX_LINES = 200;

const room = location.pathname.split("/").at(-1);
const chat = document.getElementById("chat");
const lines = document.getElementById("lines");
const list = document.querySelector("#people ul");
const say = document.getElementById("say");
const rename = document.getElementById("rename");

document.title = `${room}: ${document.title}`;
document.getElementById("chat-title").textContent = `Room: ${room}`;

let ownName = sessionStorage.getItem("name") ?? "";
let ownMember = null; // another one with each connection
const ownMembers = new Set();
let people = new Map(); // names by member
let connections = 0;
let cursor = null; // of the last message that is shown
let last = 0; // its number
let said = 0; // how many were said when the connection began
let gaps = 0;

function show(kind, text) {
  const line = document.createElement("li");
  line.className = kind;
  line.textContent = text;
  lines.append(line);
  while (lines.children.length > MAX_LINES) lines.firstChild.remove();
  lines.scrollTop = lines.scrollHeight;
}

function showPeople(present) {
  people = present;
  list.replaceChildren(
    ...Array.from(people, ([member, name]) => {
      const item = document.createElement("li");
      item.textContent = name;
      if (member === ownMember) item.className = "own";
      return item;
    }),
  );
}

function setOwnName(name) {
  ownName = name;
  rename.elements.name.value = name;
  sessionStorage.setItem("name", name);
}

function allow(isConnected) {
  for (const form of [say, rename]) form.querySelector("button").disabled = !isConnected;
}

// What a gap means to who reads.
function gapText(reason) {
  const missed = said - last;
  if (reason === "unknown") return "you may have missed messages: the server has begun anew";
  if (reason !== "expired" || missed < 1) return "you may have missed messages";
  return `you missed ${missed} ${missed === 1 ? "message" : "messages"}`;
}

const on = {
  welcome({ member, name, people, said: count }) {
    socket.settle();
    connections += 1;
    fill(chat, { reconnects: connections - 1 });
    said = count;
    ownMember = member;
    ownMembers.add(member);
    setOwnName(name);
    showPeople(new Map(people.map(({ member, name }) => [member, name])));
    allow(true);
    show("notice", connections > 1 ? `you are back, as ${name}` : `you are here, as ${name}`);
  },
  renamed({ name }) {
    const old = ownName;
    setOwnName(name);
    showPeople(people.set(ownMember, name));
    show("notice", `${old} is now ${name}`);
  },

  // The others, as they come, change their names and go.
  joined({ member, metadata: { name } }) {
    showPeople(people.set(member, name));
    show("notice", `${name} has come`);
  },
  updated({ member, metadata: { name } }) {
    const old = people.get(member);
    showPeople(people.set(member, name));
    show("notice", `${old} is now ${name}`);
  },
  left({ member, metadata: { name } }) {
    people.delete(member);
    showPeople(people);
    show("notice", `${name} has left`);
  },

  // What is said. Where all that was missed is to come, the place to go on from comes with it.
  cursor({ cursor: place, recovered }) {
    if (!recovered) cursor = place;
  },
  message({ cursor: place, data: { number, member, name, text, time } }) {
    cursor = place;
    last = number;
    const kind = ownMembers.has(member) ? "said own" : "said";
    show(kind, `${new Date(time).toLocaleTimeString()} ${name}: ${text}`);
  },
  gap({ cursor: place, reason }) {
    cursor = place ?? cursor;
    gaps += 1;
    fill(chat, { gaps });
    show("gap", gapText(reason));
    last = said;
  },

  // What the server says of a message that it could not take. The connection lives on.
  error({ code, detail }) {
    show("error", `error ${code}: ${detail}`);
  },
  pong() {},
};

function url() {
  const url = new URL(location);
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  url.search = new URLSearchParams({ name: ownName, ...(cursor && { cursor }) });
  return url;
}

const socket = new LiveSocket(url, {
  message: (message) => on[message.type]?.(message),
  closed(code, reason) {
    allow(false);
    showPeople(new Map());
    fill(chat, { code: `${code} ${reason}` });
  },
});

say.addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket.send({ type: "say", text: say.elements.text.value })) say.reset();
});

rename.addEventListener("submit", (event) => {
  event.preventDefault();
  socket.send({ type: "rename", name: rename.elements.name.value });
});

async function join(signal, tell) {
  try {
    await socket.run(signal, tell);
  } finally {
    allow(false);
    showPeople(new Map());
  }
}

toggles(chat, join, { start: "Join", stop: "Leave" });
chat.querySelector(".controls button").click();
