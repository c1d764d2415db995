/** Renders on a server, where there is no connection; the process must then end by itself. */

import { renderToString } from "react-dom/server";
import { useRealtimeMetrics } from "pulsewire-client/react";

function Metrics() {
  return JSON.stringify(useRealtimeMetrics({ url: "http://127.0.0.1:9/" }));
}

console.log(renderToString(<Metrics />).replaceAll("&quot;", '"'));
