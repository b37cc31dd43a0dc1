// A loop over the clients of ws, as its documentation writes it. What is published, and when, is as
// in harness/broadcast.py.
'use strict';

const http = require('http');
const { setImmediate: turn, setTimeout: sleep } = require('timers/promises');
const { WebSocket, WebSocketServer } = require('ws');

const TIMER_NS = 2000000n;
const [host, port] = process.argv.slice(2);

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/publish') {
    publishAll(Object.fromEntries(url.searchParams)).catch(console.error);
    response.end('publishing');
  } else {
    response.end(String(sockets.clients.size));
  }
});
const sockets = new WebSocketServer({ server, path: '/ws' });
sockets.on('connection', (socket) => socket.on('error', console.error));
server.listen(Number(port), host);

let current = 0;

async function publishAll(query) {
  const [count, size, burst, stampEvery, rate] = ['count', 'size', 'burst', 'stamp_every', 'rate'].map(
    (name) => Number(query[name]),
  );
  const mine = ++current;
  const began = process.hrtime.bigint();
  const interval = rate ? BigInt(Math.round(1e9 / rate)) : 0n;
  for (let first = 0; first < count && mine === current; first += burst) {
    const due = began + BigInt(first) * interval;
    const early = interval ? due - process.hrtime.bigint() : 0n;
    if (early > 0n) await sleep(Number(early) / 1e6);
    for (let number = first; number < Math.min(first + burst, count); number += 1) {
      const now = process.hrtime.bigint();
      const late = interval && now - due > TIMER_NS;
      publish(message(number, size, number % stampEvery === 0, late ? due : now));
    }
    await turn();
  }
}

function message(number, size, stamped, published) {
  const digits = String(number).padStart(8, '0');
  const text = stamped ? `^${digits} ${String(published).padStart(19, '0')} ` : `${digits} `;
  return text.padEnd(size - 1, '.') + '|';
}

function publish(text) {
  const data = Buffer.from(text);
  sockets.clients.forEach((client) => {
    if (client.readyState === WebSocket.OPEN) client.send(data, { binary: false });
  });
}
