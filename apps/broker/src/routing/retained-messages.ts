import type { ApplicationMessage } from "./application-message.ts";
import { nodeBytes } from "./subscription-tree.ts";

class Node {
  readonly children = new Map<string, Node>();
  message: ApplicationMessage | undefined;
}

/** Retained messages by the levels of their topics, one for each, so that a filter visits only what it can match. */
export class RetainedMessages {
  readonly #root = new Node();
  messages = 0;
  bytes = 0;
  /** What the levels of topics hold beside the messages. */
  treeBytes = 0;

  get(topicName: string): ApplicationMessage | undefined {
    let node: Node | undefined = this.#root;
    for (const level of topicName.split("/")) {
      node = node.children.get(level);
      if (node === undefined) return undefined;
    }
    return node.message;
  }

  /** Puts the message in the place of the topic's former one, and returns that. */
  put(message: ApplicationMessage): ApplicationMessage | undefined {
    let node = this.#root;
    for (const level of message.topic.name.split("/")) {
      let child = node.children.get(level);
      if (child === undefined) {
        child = new Node();
        node.children.set(level, child);
        this.treeBytes += nodeBytes;
      }
      node = child;
    }
    const former = node.message;
    if (former === undefined) this.messages += 1;
    else this.bytes -= former.size;
    this.bytes += message.size;
    node.message = message;
    return former;
  }

  /** Returns what was there. */
  remove(topicName: string): ApplicationMessage | undefined {
    const path: [parent: Node, level: string][] = [];
    let node = this.#root;
    for (const level of topicName.split("/")) {
      const child = node.children.get(level);
      if (child === undefined) return undefined;
      path.push([node, level]);
      node = child;
    }
    const former = node.message;
    if (former === undefined) return undefined;
    this.messages -= 1;
    this.bytes -= former.size;
    node.message = undefined;
    for (let i = path.length - 1; i >= 0; i -= 1) {
      const [parent, level] = path[i] as [Node, string];
      const child = parent.children.get(level);
      if (child === undefined || child.children.size > 0 || child.message !== undefined) break;
      parent.children.delete(level);
      this.treeBytes -= nodeBytes;
    }
    return former;
  }

  /** Every retained message whose topic the filter matches, in no promised order. */
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
