// ws, as its documentation writes an echo; compression is off unless it is asked for.
'use strict';

const { WebSocketServer } = require('ws');

const [host, port] = process.argv.slice(2);
const server = new WebSocketServer({ host, port: Number(port), path: '/echo' });

server.on('connection', (socket) => {
  socket.on('error', console.error);
  socket.on('message', (data, isBinary) => {
    socket.send(data, { binary: isBinary });
  });
});
