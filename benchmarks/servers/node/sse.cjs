// Node's own HTTP server, and a loop over `write` with one string.
'use strict';
const http = require('node:http');
const { run } = require('./control.cjs');

const clients = new Set();
const server = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  response.flushHeaders();
  clients.add(response);
  request.on('close', () => clients.delete(response));
});
run(server, (text) => {
  const event = `event: bench\ndata: ${text}\n\n`;
  for (const client of clients) client.write(event);
});
