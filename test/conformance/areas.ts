import type { DeploymentOptions } from "../support/deployment.ts";
import type { Case } from "./case.ts";
import { attack } from "./cases/attack.ts";
import { connect } from "./cases/connect.ts";
import { delivery } from "./cases/delivery.ts";
import { format } from "./cases/format.ts";
import { limits } from "./cases/limits.ts";
import { publish } from "./cases/publish.ts";
import { retained } from "./cases/retained.ts";
import { session } from "./cases/session.ts";
import { shared } from "./cases/shared.ts";
import { subscribe } from "./cases/subscribe.ts";
import { keepAlive, time } from "./cases/time.ts";
import { webSocket } from "./cases/web-socket.ts";
import { will } from "./cases/will.ts";

export interface Area {
  readonly name: string;
  readonly cases: readonly Case[];
  readonly deployment?: DeploymentOptions;
  /** The cases wait for most of their time, so they run at once; each has clients and topics of its own. */
  readonly atOnce?: true;
}

/** Every area of cases; each has a test file of its own and a broker of its own. */
export const areas: readonly Area[] = [
  { name: "connect", cases: connect },
  { name: "format", cases: format },
  { name: "publish", cases: publish },
  { name: "retained", cases: retained },
  { name: "subscribe", cases: subscribe },
  { name: "delivery", cases: delivery },
  { name: "session", cases: session },
  { name: "will", cases: will },
  { name: "shared", cases: shared },
  {
    name: "time",
    cases: time,
    atOnce: true,
    deployment: { settings: { "limits.keepAliveSeconds.min": 1 } },
  },
  {
    name: "keep-alive",
    cases: keepAlive,
    deployment: {
      settings: { "limits.keepAliveSeconds.min": 1, "limits.keepAliveSeconds.max": 1 },
    },
  },
  {
    name: "limits",
    cases: limits,
    deployment: {
      settings: {
        "limits.topicAliases": 0,
        "limits.packetBytes": 1_000,
        "limits.inflight": 3,
        "limits.retainedMessages": 2,
        "limits.subscriptions": 2,
        "limits.topicBytes": 40,
        "limits.userProperties": 2,
      },
    },
  },
  { name: "attack", cases: attack },
  { name: "web-socket", cases: webSocket },
];

/** What is called by this name; a name that is not there is a mistake. */
export function areaOf(name: string): Area {
  const area = areas.find((one) => one.name === name);
  if (area === undefined || area.cases.length === 0) throw new Error(`no cases for ${name}`);
  return area;
}
