import Basics

/// A key of `openclaw.json` that decides how much an Instance lets happen, by its dotted path.
///
/// Not here: `gateway.bind` and `gateway.auth`, which the runtime and the control path decide;
/// `gateway.nodes.pairing.autoApproveLocal`, because AW's own first pairing needs it; and `agents.defaults.sandbox`,
/// whose backend asks for a container engine inside the Instance: the Instance itself is the container.
public struct GovernedKey: Sendable, Hashable {
  public let path: String
  public let order: Strictness
  /// The first release that knows the key; nil for those that every supported release knows.
  let since: GatewayVersion?

  private init(_ path: String, _ order: Strictness, since: GatewayVersion? = nil) {
    (self.path, self.order, self.since) = (path, order, since)
  }

  /// By their paths, sorted.
  public static let all: [GovernedKey] = [
    .init("commands.restart", .flag(strict: false)),
    .init("discovery.mdns.mode", .ranked(["full", "minimal", "off"])),
    .init("gateway.allowRealIpFallback", .flag(strict: false)),
    .init("gateway.controlUi.enabled", .flag(strict: false)),
    .init("gateway.http.endpoints.chatCompletions.enabled", .flag(strict: false)),
    .init("gateway.http.endpoints.responses.enabled", .flag(strict: false)),
    .init("gateway.terminal.enabled", .flag(strict: false), since: InstanceConfiguration.terminalSince),
    .init("hooks.enabled", .flag(strict: false)),
    // Before the summer of 2026 it was the root key `audit`.
    .init("logging.audit.enabled", .flag(strict: true), since: GatewayVersion(2026, 8, 0)),
    .init("session.dmScope", .ranked(["main", "per-peer", "per-channel-peer", "per-account-channel-peer"])),
    .init("skills.install.allowUploadedArchives", .flag(strict: false)),
    .init("tools.deny", .denied),
    .init("tools.elevated.enabled", .flag(strict: false)),
    .init("tools.exec.ask", .ranked(["off", "on-miss", "always"])),
    .init("tools.exec.security", .ranked(["full", "allowlist", "deny"])),
    .init("tools.fs.workspaceOnly", .flag(strict: true)),
    .init("tools.profile", .ranked(["full", "coding", "messaging", "minimal"])),
    .init("tools.sessions.visibility", .ranked(["all", "agent", "tree", "self"])),
    .init("update.auto.enabled", .flag(strict: false)),
    .init("update.checkOnStart", .flag(strict: false)),
  ]

  private static let byPath = Dictionary(uniqueKeysWithValues: all.map { ($0.path, $0) })

  public static func named(_ path: String) -> GovernedKey? { byPath[path] }

  /// Those of the settings that a release knows; nil when it is not known yet: then what every release knows.
  public static func known(_ settings: [String: JSONValue], to version: GatewayVersion?) -> [String: JSONValue] {
    settings.filter { path, _ in
      guard let key = named(path) else { return false }
      guard let since = key.since else { return true }
      return version.map { $0 >= since } ?? false
    }
  }
}
