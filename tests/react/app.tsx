/** A page with as many panels as its address says, and switches for what a dashboard does. */

import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { useRealtimeChannel, useRealtimeMetrics, type HookOptions } from "pulsewire-client/react";

/** From the page's address: `?{"panels": 3, "channels": ["containers"], "options": {…}}`. */
interface Setup {
  panels: number;
  channels: string[];
  options: HookOptions;
}

const setup: Setup = {
  panels: 1,
  channels: [],
  options: {},
  ...JSON.parse(decodeURIComponent(location.search.slice(1)) || "{}"),
};

function Metrics({ options }: { options: HookOptions }) {
  const { data, loading, error, connectionStatus, transport, lastUpdated } =
    useRealtimeMetrics(options);
  const state = { data, loading, error, connectionStatus, transport, lastUpdated };
  return <pre className="metrics">{JSON.stringify(state)}</pre>;
}

function Channel({ channel, options }: { channel: string; options: HookOptions }) {
  const state = useRealtimeChannel(channel, options);
  return <pre className="channel">{JSON.stringify(state)}</pre>;
}

function App() {
  const [shown, show] = useState(true);
  const [interval, setInterval] = useState(setup.options.interval ?? 5000);
  const options = { ...setup.options, interval };
  return (
    <>
      <button onClick={() => show(!shown)}>{shown ? "hide" : "show"}</button>
      <button onClick={() => setInterval(2000)}>slower</button>
      {shown &&
        Array.from({ length: setup.panels }, (_, key) => <Metrics key={key} options={options} />)}
      {shown &&
        setup.channels.map((channel) => (
          <Channel key={channel} channel={channel} options={options} />
        ))}
    </>
  );
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
