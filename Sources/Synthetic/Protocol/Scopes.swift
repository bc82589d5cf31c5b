import Basics

/// What a scope lets a connection do.
enum Scope {
  static let read = "operator.read"
  static let write = "operator.write"
  static let admin = "operator.admin"
  static let approvals = "operator.approvals"
  static let pairing = "operator.pairing"

  /// The scopes as a device token carries them: with what they imply, sorted.
  static func normalised(_ scopes: [String]) -> [String] {
    var all = Set(scopes)
    if all.contains(admin) { all.formUnion([read, write]) }
    if all.contains(write) { all.insert(read) }
    return all.sorted()
  }

  /// Whether somebody with `granted` may do what needs `needed`.
  static func allows(_ granted: [String], _ needed: String) -> Bool {
    if granted.contains(admin) || granted.contains(needed) { return true }
    return needed == read && granted.contains(write)
  }

  /// The scope that a method needs; nil for the few that need none. Unknown names need none: they fail as unknown.
  static func needed(for method: String) -> String? { table[method] }

  private static let table: [String: String] = {
    var table: [String: String] = [:]
    for method in Catalogue.methods { table[method] = read }
    table["health"] = nil
    for (scope, methods) in special {
      for method in methods.split(whereSeparator: \.isWhitespace) { table[String(method)] = scope }
    }
    return table
  }()

  private static let special: [(String, String)] = [
    (
      write,
      """
      send agent agent.wait chat.send chat.abort wake tasks.cancel tools.invoke node.invoke sessions.create
      sessions.send sessions.abort message.action talk.speak talk.mode
      """
    ),
    (
      admin,
      """
      channels.start channels.stop channels.logout config.set config.apply config.patch config.schema update.status
      update.run secrets.reload secrets.resolve gateway.restart.request agents.create agents.update agents.delete
      agents.files.set skills.install skills.update skills.upload.begin skills.upload.chunk skills.upload.commit
      cron.add cron.update cron.remove cron.run set-heartbeats system-event models.authLogout exec.approvals.get
      exec.approvals.set wizard.start wizard.next wizard.cancel wizard.status sessions.reset sessions.delete
      sessions.compact sessions.cleanup sessions.patch
      """
    ),
    (
      pairing,
      """
      device.pair.list device.pair.approve device.pair.reject device.pair.remove device.token.rotate
      device.token.revoke node.pair.list node.pair.approve node.pair.reject node.pair.remove node.pair.request
      node.pair.verify node.rename
      """
    ),
    (
      approvals,
      """
      exec.approval.get exec.approval.list exec.approval.request exec.approval.waitDecision exec.approval.resolve
      plugin.approval.list plugin.approval.request plugin.approval.waitDecision plugin.approval.resolve
      """
    ),
  ]
}
