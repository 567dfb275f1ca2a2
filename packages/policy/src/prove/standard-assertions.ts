import type { Assertion, DenyFilter } from "../language/policy.ts";

interface StandardAssertion extends Omit<Assertion, "never" | "line" | "column"> {
  readonly never: NonNullable<Assertion["never"]>;
  readonly summary: string;
}

const topics = (...filters: readonly string[]): readonly DenyFilter[] =>
  filters.map((filter) => ({ filter, line: 1, column: 1 }));

const control = topics(
  "+/+/+/device/+/command",
  "+/+/+/device/+/command/request/+",
  "+/+/+/device/+/config",
  "+/+/+/device/+/firmware/command",
);

/** What must hold for every tenant with a topic schema, whatever its policy says of itself. */
export const standardAssertions: readonly StandardAssertion[] = [
  {
    id: "firmware-command",
    never: "publish",
    on: topics("+/+/+/device/+/firmware/command"),
    by: [],
    except: ["updater"],
    across: [],
    summary: "no role but `updater` publishes firmware commands",
  },
  {
    id: "analytics-control",
    never: "publish",
    on: control,
    by: ["analytics"],
    except: [],
    across: [],
    summary: "the role `analytics` publishes to no command or config topic",
  },
  {
    id: "analytics-reads-control",
    never: "subscribe",
    on: control,
    by: ["analytics"],
    except: [],
    across: [],
    summary: "the role `analytics` reads no command or config topic",
  },
  {
    id: "separate-places",
    never: "share",
    on: [],
    by: [],
    except: [],
    across: ["org", "site", "ward"],
    summary: "devices of different wards, sites or tenants never share a topic to publish to",
  },
  {
    id: "own-id",
    never: "stray",
    on: [],
    by: [],
    except: [],
    across: [],
    summary: "a device publishes only to topics that hold its own id",
  },
  {
    id: "system-topics",
    never: "subscribe",
    on: topics("$SYS/#"),
    by: [],
    except: ["operator"],
    across: [],
    summary: "no role but `operator` reads `$SYS`",
  },
  {
    id: "telemetry-retained",
    never: "retain",
    on: topics("+/+/+/device/+/telemetry"),
    by: [],
    except: [],
    across: [],
    summary: "nobody retains telemetry",
  },
];
