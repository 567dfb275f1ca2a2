import type { Session } from "../session/session.ts";
import { SharedGroup } from "./shared-group.ts";
import type { Subscription } from "./subscription.ts";

/** What one level holds, measured on both runtimes and rounded up. */
export const nodeBytes = 600;

class Node {
  readonly children = new Map<string, Node>();
  subscriptions: Map<Session, Subscription> | undefined;
  groups: Map<string, SharedGroup> | undefined;

  get isEmpty(): boolean {
    return (
      this.children.size === 0 && this.subscriptions === undefined && this.groups === undefined
    );
  }
}

/** All subscriptions by the levels of their Topic Filters. Walks are iterative: depth costs memory, never the stack. */
export class SubscriptionTree {
  readonly #root = new Node();
  /** What its levels hold. */
  bytes = 0;

  add(session: Session, subscription: Subscription): void {
    let node = this.#root;
    for (const level of subscription.topicFilter.split("/")) {
      let child = node.children.get(level);
      if (child === undefined) {
        child = new Node();
        node.children.set(level, child);
        this.bytes += nodeBytes;
      }
      node = child;
    }
    if (subscription.group === undefined) {
      node.subscriptions ??= new Map();
      node.subscriptions.set(session, subscription);
      return;
    }
    node.groups ??= new Map();
    let group = node.groups.get(subscription.group);
    if (group === undefined) {
      group = new SharedGroup(subscription.filter);
      node.groups.set(subscription.group, group);
    }
    group.add(session, subscription);
  }

  /** The group with this name at this Topic Filter, if it has members. */
  group(topicFilter: string, name: string): SharedGroup | undefined {
    let node: Node | undefined = this.#root;
    for (const level of topicFilter.split("/")) node = node?.children.get(level);
    return node?.groups?.get(name);
  }

  remove(session: Session, subscription: Subscription): void {
    const path: [parent: Node, level: string][] = [];
    let node = this.#root;
    for (const level of subscription.topicFilter.split("/")) {
      const child = node.children.get(level);
      if (child === undefined) return;
      path.push([node, level]);
      node = child;
    }
    if (subscription.group === undefined) {
      node.subscriptions?.delete(session);
      if (node.subscriptions?.size === 0) node.subscriptions = undefined;
    } else {
      const group = node.groups?.get(subscription.group);
      group?.remove(session);
      if (group?.members.size === 0) node.groups?.delete(subscription.group);
      if (node.groups?.size === 0) node.groups = undefined;
    }
    for (let i = path.length - 1; i >= 0; i -= 1) {
      const [parent, level] = path[i] as [Node, string];
      if (parent.children.get(level)?.isEmpty !== true) break;
      parent.children.delete(level);
      this.bytes -= nodeBytes;
    }
  }

  /** Calls back for every subscription and every shared group whose filter matches the name. */
  match(
    topicName: string,
    onSubscription: (session: Session, subscription: Subscription) => void,
    onGroup: (group: SharedGroup) => void,
  ): void {
    const visit = (node: Node | undefined) => {
      if (node === undefined) return;
      node.subscriptions?.forEach((subscription, session) => {
        onSubscription(session, subscription);
      });
      node.groups?.forEach(onGroup);
    };
    const levels = topicName.split("/");
    let nodes: Node[] = [this.#root];
    // A wildcard in the first level does not reach names that begin with `$`, 5.0 [MQTT-4.7.2-1].
    let wildcards = !topicName.startsWith("$");
    for (const level of levels) {
      const next: Node[] = [];
      for (const node of nodes) {
        const exact = node.children.get(level);
        if (exact !== undefined) next.push(exact);
        if (wildcards) {
          const plus = node.children.get("+");
          if (plus !== undefined) next.push(plus);
          visit(node.children.get("#"));
        }
      }
      wildcards = true;
      nodes = next;
    }
    for (const node of nodes) {
      visit(node);
      visit(node.children.get("#")); // "a/#" matches "a"
    }
  }
}
