import { MqttError } from "./errors.ts";
import {
  type PropertyDefinition,
  type PropertyName,
  type PropertyPlace,
  type PropertyValues,
  properties,
} from "./properties.ts";
import { checkPropertyValue, checkPropertyValues } from "./property-rules.ts";
import type { Reader } from "./reader.ts";
import type { Sender } from "./reason-codes.ts";

export const noProperties: PropertyValues = Object.freeze({});

const nameById = new Map(
  (Object.keys(properties) as PropertyName[]).map((name) => [properties[name].id as number, name]),
);

/** Takes the Property Length and the properties of one place, 5.0 section 2.2.2. */
export function decodeProperties(
  reader: Reader,
  place: PropertyPlace,
  sender: Sender,
  maximumUserProperties: number,
): PropertyValues {
  const length = reader.variableByteInteger();
  if (length === 0) return noProperties;
  const section = reader.section(length);
  const values: { [Name in PropertyName]?: unknown } = {};
  while (!section.atEnd) {
    const name = nameById.get(section.variableByteInteger());
    const definition: PropertyDefinition | undefined = name && properties[name];
    if (name === undefined || !definition?.allowedIn.includes(place)) {
      throw new MqttError("ERR_MQTT_PROPERTY_NOT_ALLOWED"); // 5.0 2.2.2.2
    }
    const value = section[definition.type]();
    checkPropertyValue(name, value);
    if (definition.repeatable) {
      values[name] ??= [];
      const list = values[name] as unknown[];
      if (name === "userProperty" && list.length >= maximumUserProperties) {
        throw new MqttError("ERR_MQTT_USER_PROPERTIES");
      }
      list.push(value);
    } else {
      if (values[name] !== undefined) throw new MqttError("ERR_MQTT_PROPERTY_DUPLICATE");
      values[name] = value;
    }
  }
  const decoded = values as PropertyValues; // INVARIANT: each value was read by the type of its row
  checkPropertyValues(decoded, place, sender);
  return decoded;
}
