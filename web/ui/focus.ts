/** What has the focus. */

/** The focused element of the tree that a node is in: of a shadow tree the document knows only its host. */
export function focusedBeside(node: Node): Element | null {
  const root = node.getRootNode();
  return (root instanceof ShadowRoot ? root : document).activeElement;
}
