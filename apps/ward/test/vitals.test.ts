import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Alarm, type AlarmChanges, alarmsAfter } from "../src/alarms.ts";
import { type EpisodeName, episodeAt, episodes, openingOf } from "../src/episodes.ts";
import { type DeviceKind, load } from "../src/load.ts";
import { alarmMessage, numericMessage, waveMessage } from "../src/messages.ts";
import { quantitiesOf } from "../src/quantities.ts";
import { firstVitals, nextVitals, type Vitals } from "../src/vitals.ts";
import { waves } from "../src/waves.ts";

const kinds: readonly DeviceKind[] = ["monitor", "ventilator", "pump"];
const seeds = [1, 77, 0xdeadbeef, 2 ** 31];

interface Second extends AlarmChanges {
  readonly vitals: Vitals;
}

/** A patient's first seconds, one by one, with the alarms. */
function* live(first: Vitals, seconds: number): Generator<Second> {
  let vitals = first;
  let active: readonly Alarm[] = [];
  for (let i = 0; i < seconds; i += 1) {
    const changes = alarmsAfter(active, vitals);
    active = changes.active;
    yield { vitals, ...changes };
    vitals = nextVitals(vitals);
  }
}

const everyPatient = kinds.flatMap((kind) => seeds.map((seed) => ({ kind, seed })));

describe("vital signs", () => {
  test("never leave the bounds of their quantity in an hour", () => {
    for (const { kind, seed } of everyPatient) {
      for (const { vitals } of live(firstVitals(kind, seed), 3_600)) {
        for (const [name, { bounds }] of quantitiesOf(kind)) {
          const value = vitals.measured[name] ?? Number.NaN;
          assert.ok(value >= bounds[0] && value <= bounds[1], `${kind} ${name} ${value}`);
        }
      }
    }
  });

  test("raise no alarm outside of an episode", () => {
    for (const { kind, seed } of everyPatient) {
      for (const { vitals, raised } of live(firstVitals(kind, seed), 3_600)) {
        if (vitals.episode === undefined) assert.deepEqual(raised, [], `${kind} ${seed}`);
      }
    }
  });

  test("are the same for the same seed, and others for another", () => {
    const after = (seed: number) => [...live(firstVitals("monitor", seed), 50)].at(-1)?.vitals;
    assert.deepEqual(after(5), after(5));
    assert.notDeepEqual(after(5)?.values, after(6)?.values);
  });

  test("do not change the value they go on from", () => {
    const first = firstVitals("pump", 3);
    const copy = structuredClone(first);
    nextVitals(first);
    assert.deepEqual(first, copy);
  });

  test("keep the diastolic pressure below the systolic, with the mean between", () => {
    for (const seed of seeds) {
      for (const { vitals } of live(firstVitals("monitor", seed), 600)) {
        const { systolic = 0, diastolic = 0, meanPressure = 0 } = vitals.measured;
        assert.ok(diastolic < meanPressure && meanPressure < systolic);
      }
    }
  });
});

describe("an episode", () => {
  for (const name of Object.keys(episodes) as EpisodeName[]) {
    const { kind, seconds } = episodes[name];
    test(`raises an alarm and lets it end: ${name}`, () => {
      for (const seed of seeds) {
        const patient = firstVitals(kind, seed, { name, startsAt: 5 });
        const all = [...live(patient, 5 + seconds + 60)];
        assert.ok(
          all.some(({ raised }) => raised.length > 0),
          `${name} ${seed} raises`,
        );
        assert.deepEqual(all.at(-1)?.active, [], `${name} ${seed} ends`);
      }
    });
  }

  test("raises an alarm in the ward's first minute", () => {
    const opening = openingOf("monitor", 1);
    const all = [...live(firstVitals("monitor", 9, opening), 60)];
    assert.ok(all.some(({ raised }) => raised.length > 0));
    assert.ok(all.some(({ ended }) => ended.length > 0));
  });

  test("comes back later by chance, and not to everybody at once", () => {
    const seconds = Array.from({ length: 3_600 }, (_, i) => i + 300);
    const inEpisode = seconds.map(
      (at) => seeds.filter((s) => episodeAt("monitor", s * 31, at)).length,
    );
    assert.ok(inEpisode.some((n) => n > 0));
    assert.ok(inEpisode.every((n) => n < seeds.length));
  });
});

describe("an alarm", () => {
  const second = (measured: Record<string, number>): Vitals => ({
    ...firstVitals("monitor", 1),
    measured,
  });

  test("is not raised at its limit, only beyond", () => {
    assert.deepEqual(alarmsAfter([], second({ spo2: 90 })).raised, []);
    assert.equal(alarmsAfter([], second({ spo2: 89 })).raised[0]?.text, "SpO2 low");
    assert.deepEqual(alarmsAfter([], second({ heartRate: 120 })).raised, []);
    assert.equal(alarmsAfter([], second({ heartRate: 121 })).raised[0]?.event, "MDC_EVT_HI");
  });

  test("is raised once, and ends only well inside its limit", () => {
    const { active } = alarmsAfter([], second({ spo2: 88 }));
    const still = alarmsAfter(active, second({ spo2: 90 }));
    assert.deepEqual([still.raised, still.ended, still.active.length], [[], [], 1]);
    const over = alarmsAfter(still.active, second({ spo2: 91 }));
    assert.deepEqual(
      over.ended.map(({ text, value }) => [text, value]),
      [["SpO2 low", 91]],
    );
    assert.deepEqual(over.active, []);
  });
});

describe("messages", () => {
  const heading = { sequence: 4_711, at: 1_795_447_459_075.5 };

  test("have the sizes that the load assumes, within 15 percent", () => {
    for (const { kind, seed } of everyPatient) {
      for (const { vitals, active } of live(firstVitals(kind, seed), 900)) {
        if (vitals.tick % 9 !== 0) continue;
        for (const { stream, bytes } of load[kind]) {
          const text =
            stream === "wave"
              ? waveMessage(vitals, heading)
              : numericMessage(vitals, active, heading);
          const size = Buffer.byteLength(text);
          assert.ok(
            Math.abs(size - bytes) <= bytes * 0.15,
            `${kind} ${stream}: ${size} for ${bytes}`,
          );
        }
      }
    }
  });

  test("say nothing about who the patient is", () => {
    for (const { vitals, active, raised } of live(
      firstVitals("monitor", 8, { name: "desaturation", startsAt: 2 }),
      40,
    )) {
      const texts = [
        numericMessage(vitals, active, heading),
        waveMessage(vitals, heading),
        ...raised.map((alarm) => alarmMessage(vitals, alarm, "raised", heading)),
      ];
      for (const text of texts) {
        assert.doesNotMatch(text, /patient|name|birth|mrn|bed|room|sex|gender|ssn/i);
      }
    }
  });

  test("carry the device's time to the microsecond", () => {
    const { deviceTime } = JSON.parse(numericMessage(firstVitals("pump", 1), [], heading));
    assert.equal(deviceTime, "2026-11-23T15:24:19.075500Z");
  });
});

describe("waves", () => {
  test("go on in the next second where the last one ended", () => {
    for (const seed of seeds) {
      const seconds = [...live(firstVitals("monitor", seed), 30)].map(
        ({ vitals }) => waves(vitals)[1],
      );
      const steps = (samples: readonly number[]) =>
        samples.slice(1).map((v, i) => Math.abs(v - (samples[i] ?? 0)));
      const largest = Math.max(...seconds.flatMap((wave) => steps(wave?.samples ?? [])));
      seconds.slice(1).forEach((wave, i) => {
        const jump = Math.abs((wave?.samples[0] ?? 0) - (seconds[i]?.samples.at(-1) ?? 0));
        assert.ok(
          jump <= largest * 1.5,
          `a jump of ${jump}, the largest step within is ${largest}`,
        );
      });
    }
  });

  test("show one R wave for each beat", () => {
    const seconds = [...live(firstVitals("monitor", 21), 60)].map(({ vitals }) => vitals);
    const ecg = seconds.flatMap((vitals) => waves(vitals)[0]?.samples ?? []);
    const beats = ecg.filter((v, i) => v > 700 && (ecg[i - 1] ?? 0) <= 700).length;
    const rate = seconds.reduce((sum, { values }) => sum + (values["heartRate"] ?? 0), 0) / 60;
    assert.ok(Math.abs(beats - rate) <= 3, `${beats} beats in a minute at a rate of ${rate}`);
  });
});
