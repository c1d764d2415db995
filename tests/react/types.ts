/** What the types of the package promise; compiled by the tests, never run. */

import { connect } from "pulsewire-client";
import {
  useRealtimeChannel,
  useRealtimeMetrics,
  type Realtime,
  type StandardMetrics,
} from "pulsewire-client/react";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <T extends true>(): T => true as T;

const standard = useRealtimeMetrics();
holds<Equal<typeof standard, Realtime<StandardMetrics>>>();
holds<Equal<typeof standard.loading, boolean>>();
holds<Equal<typeof standard.error, string | null>>();
holds<Equal<typeof standard.lastUpdated, Date | null>>();
if (standard.data) holds<Equal<typeof standard.data.cpu.usage, number>>();

const simple = useRealtimeMetrics({ detail: "simple", interval: 1000, enableFallback: false });
if (simple.data) holds<Equal<typeof simple.data.cpu, number>>();

interface Container {
  name: string;
}
const containers = useRealtimeChannel<Container[]>("containers", { url: "https://example.org/" });
holds<Equal<typeof containers.data, Container[] | null>>();

// @ts-expect-error: an interval is a number
useRealtimeMetrics({ interval: "5000" });
// @ts-expect-error: a transport that does not exist
useRealtimeMetrics({ transports: ["pigeon"] });
// @ts-expect-error: an option that does not exist
useRealtimeMetrics({ intervall: 5000 });

const client = connect({ url: "https://example.org/", channels: ["metrics"], interval: 1000 });
holds<Equal<typeof client.status, "connecting" | "connected" | "reconnecting" | "disconnected">>();
holds<Equal<typeof client.transport, "websocket" | "sse" | "longpoll" | "polling" | null>>();
client.close();
