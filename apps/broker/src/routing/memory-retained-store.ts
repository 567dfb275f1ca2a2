import type { ApplicationMessage } from "./application-message.ts";
import type { RetainedStore } from "./retained-store.ts";
import { nodeBytes } from "./subscription-tree.ts";

class Node {
  readonly children = new Map<string, Node>();
  message: ApplicationMessage | undefined;
}

/** Retained messages in memory, by the levels of their topics, so that a filter visits only what it can match. */
export class MemoryRetainedStore implements RetainedStore {
  readonly #root = new Node();
  messages = 0;
  bytes = 0;
  #nodes = 0;

  get treeBytes(): number {
    return this.#nodes * nodeBytes;
  }

  get(topicName: string): ApplicationMessage | undefined {
    let node: Node | undefined = this.#root;
    for (const level of topicName.split("/")) {
      node = node.children.get(level);
      if (node === undefined) return undefined;
    }
    return node.message;
  }

  put(message: ApplicationMessage): void {
    let node = this.#root;
    for (const level of message.topic.name.split("/")) {
      let child = node.children.get(level);
      if (child === undefined) {
        child = new Node();
        node.children.set(level, child);
        this.#nodes += 1;
      }
      node = child;
    }
    if (node.message === undefined) this.messages += 1;
    else this.bytes -= node.message.size;
    this.bytes += message.size;
    node.message = message;
  }

  remove(topicName: string): void {
    const path: [parent: Node, level: string][] = [];
    let node = this.#root;
    for (const level of topicName.split("/")) {
      const child = node.children.get(level);
      if (child === undefined) return;
      path.push([node, level]);
      node = child;
    }
    if (node.message === undefined) return;
    this.messages -= 1;
    this.bytes -= node.message.size;
    node.message = undefined;
    for (let i = path.length - 1; i >= 0; i -= 1) {
      const [parent, level] = path[i] as [Node, string];
      const child = parent.children.get(level);
      if (child === undefined || child.children.size > 0 || child.message !== undefined) break;
      parent.children.delete(level);
      this.#nodes -= 1;
    }
  }

  matching(topicFilter: string): ApplicationMessage[] {
    const found: ApplicationMessage[] = [];
    const levels = topicFilter.split("/");
    let nodes: Node[] = [this.#root];
    for (const [depth, level] of levels.entries()) {
      const next: Node[] = [];
      for (const node of nodes) {
        if (level === "#") {
          // "a/#" matches "a" as well; a first level of "#" does not reach `$` names, 5.0 [MQTT-4.7.2-1].
          if (depth > 0 && node.message !== undefined) found.push(node.message);
          collect(node, depth === 0, found);
        } else if (level === "+") {
          for (const [name, child] of node.children) {
            if (depth > 0 || !name.startsWith("$")) next.push(child);
          }
        } else {
          const child = node.children.get(level);
          if (child !== undefined) next.push(child);
        }
      }
      nodes = next;
    }
    for (const node of nodes) if (node.message !== undefined) found.push(node.message);
    return found;
  }
}

function collect(start: Node, isRoot: boolean, found: ApplicationMessage[]): void {
  const stack: Node[] = [];
  for (const [name, child] of start.children) {
    if (!isRoot || !name.startsWith("$")) stack.push(child);
  }
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node.message !== undefined) found.push(node.message);
    for (const child of node.children.values()) stack.push(child);
  }
}
