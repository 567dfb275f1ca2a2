import {
  type Origin,
  type PackedSubject,
  packSubject,
  type SubjectRecord,
  unpackSubject,
} from "@wardmq/feed";
import { HashIndex } from "./hash-index.ts";

const blockBytes = 1024 * 1024;
const lengthBytes = 4;

/**
 * The records of all subjects, by id, by the fingerprint of a certificate that was ever bound to one, and by what their
 * maker says of them. Each lies as text in a large block until somebody asks for it: a hundred thousand devices, of whom
 * a few thousand are connected, cost some 30 MB that the garbage collector never walks.
 */
export class RecordTable {
  /** An address is `number of the block * blockBytes + offset`; a record longer than a block has one of its own. */
  #blocks: Buffer[] = [];
  /** Bytes used in the last block. */
  #end = blockBytes;
  #byId = new HashIndex();
  #byFingerprint = new HashIndex();
  #byOrigin = new HashIndex();
  #size = 0;
  /** Bytes of records, and of those that were replaced. */
  #bytes = 0;
  #garbage = 0;

  get size(): number {
    return this.#size;
  }

  get(id: string): SubjectRecord | undefined {
    const at = this.#addressOf(id);
    return at === undefined ? undefined : this.#recordAt(at);
  }

  byFingerprint(fingerprint: string): SubjectRecord | undefined {
    const has = (at: number) =>
      this.#recordAt(at).certificates.some((bound) => bound.fingerprint === fingerprint);
    const at = this.#byFingerprint.find(hashOf(fingerprint), has);
    return at === undefined ? undefined : this.#recordAt(at);
  }

  /** All that say this of their maker: the registry does not see to it that there is only one. */
  byOrigin({ maker, serial }: Origin): readonly SubjectRecord[] {
    const found: SubjectRecord[] = [];
    this.#byOrigin.find(hashOfOrigin({ maker, serial }), (at) => {
      const record = this.#recordAt(at);
      if (record.origin?.maker === maker && record.origin.serial === serial) found.push(record);
      return false; // go on to the next
    });
    return found;
  }

  *values(): Generator<SubjectRecord> {
    for (const at of this.#byId.numbers()) yield this.#recordAt(at);
  }

  /** Puts a record in place of the one with its id. */
  put(record: SubjectRecord): void {
    this.remove(record.id);
    const at = this.#write(shortened(JSON.stringify(packSubject(record))));
    this.#byId.add(hashOf(record.id), at);
    for (const { fingerprint } of record.certificates) {
      this.#byFingerprint.add(hashOf(fingerprint), at);
    }
    if (record.origin !== undefined) this.#byOrigin.add(hashOfOrigin(record.origin), at);
    this.#size += 1;
  }

  remove(id: string): void {
    const at = this.#addressOf(id);
    if (at === undefined) return;
    this.#byId.remove(hashOf(id), at);
    const { certificates, origin } = this.#recordAt(at);
    for (const { fingerprint } of certificates) {
      this.#byFingerprint.remove(hashOf(fingerprint), at);
    }
    if (origin !== undefined) this.#byOrigin.remove(hashOfOrigin(origin), at);
    const { length } = this.#textAt(at);
    this.#bytes -= length;
    this.#garbage += length;
    this.#size -= 1;
    if (this.#garbage > blockBytes && this.#garbage > this.#bytes) this.#compact();
  }

  #addressOf(id: string): number | undefined {
    const start = `["${id}",`; // ids have a closed alphabet: nothing in them is escaped
    const isThere = (at: number) => this.#textAt(at).toString("latin1", 0, start.length) === start;
    return this.#byId.find(hashOf(id), isThere);
  }

  #recordAt(at: number): SubjectRecord {
    return unpackSubject(JSON.parse(lengthened(this.#textAt(at).toString())) as PackedSubject);
  }

  #textAt(at: number): Buffer {
    const block = this.#blocks[Math.floor(at / blockBytes)] as Buffer;
    const start = (at % blockBytes) + lengthBytes;
    return block.subarray(start, start + block.readUInt32LE(start - lengthBytes));
  }

  #write(text: string): number {
    const most = lengthBytes + text.length * 3;
    if (this.#end + most > blockBytes) {
      this.#blocks.push(Buffer.allocUnsafeSlow(Math.max(blockBytes, most)));
      this.#end = 0;
    }
    const block = this.#blocks.at(-1) as Buffer;
    const at = (this.#blocks.length - 1) * blockBytes + this.#end;
    const length = block.write(text, this.#end + lengthBytes);
    block.writeUInt32LE(length, this.#end);
    this.#end += lengthBytes + length;
    this.#bytes += length;
    return at;
  }

  /** Writes everything anew, without what was replaced. */
  #compact(): void {
    const fresh = new RecordTable();
    for (const record of this.values()) fresh.put(record);
    this.#blocks = fresh.#blocks;
    this.#end = fresh.#end;
    this.#byId = fresh.#byId;
    this.#byFingerprint = fresh.#byFingerprint;
    this.#byOrigin = fresh.#byOrigin;
    this.#bytes = fresh.#bytes;
    this.#garbage = 0;
  }
}

/** Stands for the name of a subject after the first time; JSON never has it as it is. */
const sameName = "\x01";

/** The uuid of a device stands three times in its record. */
function shortened(text: string): string {
  const end = text.indexOf('"', 2);
  const name = text.slice(text.indexOf(":") + 1, end);
  return text.slice(0, end) + text.slice(end).replaceAll(name, sameName);
}

function lengthened(text: string): string {
  const end = text.indexOf('"', 2);
  const name = text.slice(text.indexOf(":") + 1, end);
  return text.slice(0, end) + text.slice(end).replaceAll(sameName, name);
}

/** FNV-1a over the characters of an id, of a fingerprint, or of what a maker says. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

function hashOfOrigin({ maker, serial }: Origin): number {
  return hashOf(`${maker}\0${serial}`);
}
