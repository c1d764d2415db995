// The live page: one event stream, a few figures, a small chart. The protocol: docs/protocol.md.

// Relative, so that the page works under any path behind a proxy.
const STREAM = "api/sse?channels=metrics&interval=1000&history=60";
const LATE_MS = 3500; // Three messages have not come.
const SPAN_MS = 60_000;

const byId = (id) => document.getElementById(id);
const say = (id, text) => { byId(id).textContent = text; };
const decimal = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

const beganAt = performance.now();
let source;
let retry;
let heardAt; // when anything came at all
let dataAt; // when figures came
let quietMs = 35_000; // a stream that is silent for longer is dead
let points = []; // null stands for a gap

function setState(state) {
  // The element is announced when it changes: touch it only then.
  if (byId("state").dataset.state !== state) {
    byId("state").dataset.state = state;
    say("state", state);
  }
}

function setNote(text) {
  say("note", text);
  byId("note").hidden = !text;
}

function bar(id, value) {
  const part = Math.min(Math.round(value), 100);
  const { dataset, style } = byId(`${id}-bar`);
  byId(`${id}-bar`).ariaValueNow = part;
  dataset.level = part >= 90 ? "poor" : part >= 70 ? "fair" : "good";
  style.setProperty("--part", `${part}%`);
}

function percent(id, value) {
  say(id, `${decimal.format(value)} %`);
  bar(id, value);
}

function bytes(used, total) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  for (; total >= 1024 && unit < units.length - 1; unit += 1) {
    used /= 1024;
    total /= 1024;
  }
  return `${decimal.format(used)} of ${decimal.format(total)} ${units[unit]}`;
}

function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  return days ? `${days} d ${hours % 24} h` : hours ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}

function show({ cpu, memory, disk, uptime, hostname }) {
  const [one, five, fifteen] = cpu.loadAvg.map((load) => load.toFixed(2));
  document.title = `${hostname} · Pulsewire`;
  say("host", hostname);
  say("uptime", `up ${duration(uptime)}`);
  percent("cpu", cpu.usage);
  say("cpu-more", cpu.cores === 1 ? "1 core" : `${cpu.cores} cores`);
  percent("memory", memory.usage);
  say("memory-more", bytes(memory.used, memory.total));
  percent("disk", disk.usage);
  say("disk-more", `${bytes(disk.used, disk.used + disk.free)} at ${disk.path}`);
  say("load", one);
  bar("load", (100 * cpu.loadAvg[0]) / cpu.cores);
  say("load-more", `${five} in 5 min, ${fifteen} in 15`);
}

const point = ({ timestamp, data }) => ({ timestamp, cpu: data.cpu.usage, memory: data.memory.usage });

function path(key, end) {
  let drawn = "";
  let pen = "M";
  for (const at of points) {
    if (at) {
      const x = 600 - (600 * (end - at.timestamp)) / SPAN_MS;
      // "h0" makes a dot of a point that has gaps on both sides.
      drawn += `${pen}${x.toFixed(1)} ${(100 - at[key]).toFixed(1)}h0`;
    }
    pen = at ? "L" : "M";
  }
  return drawn;
}

function draw() {
  const end = points.at(-1)?.timestamp;
  // What lies ahead was measured before the clock was set back.
  points = points.filter((at) => !at || (at.timestamp >= end - SPAN_MS && at.timestamp <= end));
  points.splice(0, points.findIndex((at) => at));
  for (const key of ["cpu", "memory"]) {
    byId(`${key}-line`).setAttribute("d", path(key, end));
  }
}

const handlers = {
  connected({ heartbeatMs, version }) {
    quietMs = 2 * heartbeatMs + 5000;
    say("version", `Pulsewire ${version}`);
  },
  history({ items }) {
    points = items.map((item) => (item.type === "gap" ? null : point(item)));
  },
  gap() {
    points.push(null);
  },
  metrics(message) {
    dataAt = performance.now();
    points.push(point(message));
    setState("live");
    setNote("");
    show(message.data);
    draw();
    watch();
  },
  error({ message }) {
    setNote(message);
  },
  reconnect() {
    setState("reconnecting");
    setNote("The server is restarting.");
  },
  heartbeat() {},
  subscribed() {},
};

function lost() {
  setState("reconnecting");
  // By itself it comes back from a cut line, but not from an answer that was no event stream.
  if (source.readyState === EventSource.CLOSED) {
    retry = setTimeout(connect, 2000 + 4000 * Math.random());
  }
}

function connect() {
  clearTimeout(retry);
  source?.close();
  source = new EventSource(STREAM);
  heardAt = performance.now();
  for (const [type, handle] of Object.entries(handlers)) {
    source.addEventListener(type, (event) => {
      // The browser's own "error" bears no data; the server's message of that name does.
      if (event.data === undefined) {
        lost();
      } else {
        heardAt = performance.now();
        handle(JSON.parse(event.data));
      }
    });
  }
}

function watch() {
  const now = performance.now();
  if (dataAt !== undefined) {
    say("age", `data ${Math.round((now - dataAt) / 1000)} s old`);
  }
  if (now - heardAt > quietMs) {
    setState("reconnecting");
    connect();
  } else if (source.readyState === EventSource.OPEN && now - (dataAt ?? beganAt) > LATE_MS) {
    setState("waiting for data");
  }
}

connect();
setInterval(watch, 500);
