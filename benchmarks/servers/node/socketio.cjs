// socket.io, WebSocket only, and its `emit` to all.
'use strict';
const http = require('node:http');
const { Server } = require('socket.io');
const { run } = require('./control.cjs');

const server = http.createServer();
const io = new Server(server, { transports: ['websocket'] });
run(server, (text) => io.emit('message', JSON.parse(text)));
