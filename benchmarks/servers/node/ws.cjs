// The library `ws`, and a loop over `send` with one string.
'use strict';
const http = require('node:http');
const { WebSocketServer } = require('ws');
const { run } = require('./control.cjs');

const server = http.createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
run(server, (text) => {
  for (const client of sockets.clients) client.send(text);
});
