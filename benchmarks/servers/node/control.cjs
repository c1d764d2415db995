// How a server in Node is told to publish: the same lines as in ../control.py.
'use strict';
const { monitorEventLoopDelay } = require('node:perf_hooks');
const readline = require('node:readline');

const WATCH_MS = 10;
const say = (answer) => process.stdout.write(JSON.stringify(answer) + '\n');
const now = () => Number(process.hrtime.bigint()) / 1e6;

// 612 bytes of JSON with the moment of publication, as in ../../payload.py.
function payload() {
  const head = `{"type":"bench","sent":${process.hrtime.bigint()},"padding":"`;
  return head + 'x'.repeat(612 - head.length - 2) + '"}';
}

function go(hz, seconds, publish) {
  const watch = monitorEventLoopDelay({ resolution: WATCH_MS });
  const period = 1000 / hz, start = now() + 100, all = Math.round(hz * seconds);
  let number = 0, ticks = 0;
  watch.enable();
  const next = () => {
    while (number < all && now() >= start + (number + 1) * period) number += 1;
    if (number < all) return setTimeout(tick, Math.max(0, start + number * period - now()));
    return setTimeout(() => {
      watch.disable();
      say({ ticks, pause_ms: Math.max(0, watch.max / 1e6 - WATCH_MS) });
    }, 2 * WATCH_MS);
  };
  const tick = () => {
    publish(payload());
    ticks += 1;
    number += 1;
    next();
  };
  next();
}

// Listen on the port of the command line, then publish as the standard input says.
exports.run = (server, publish) => {
  const port = Number(process.argv[2]);
  server.listen(port, '127.0.0.1', 4096, () => say({ port, pids: [process.pid] }));
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const [, hz, seconds] = line.split(' ').map(Number);
    go(hz, seconds, publish);
  });
  lines.on('close', () => process.exit(0));
};
