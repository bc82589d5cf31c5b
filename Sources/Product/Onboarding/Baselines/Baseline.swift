import Basics
import Crypto
import OpenClaw

/// A named set of OpenClaw settings that an Org's Instance has at least. A version never changes: whoever wants other
/// settings adds a version, and a test keeps the digests.
public struct Baseline: Sendable, Equatable, Codable {
  /// `aw-baseline/strict`.
  public let name: String
  public let version: Int
  /// One line for people.
  public let summary: String
  /// A value for every governed key, by its path.
  public let settings: [String: JSONValue]

  /// SHA-256 over the name, the version and the settings in canonical JSON.
  public var digest: String {
    let content: JSONValue = [
      "name": .string(name), "version": .integer(Int64(version)), "settings": .object(settings),
    ]
    return "sha256:" + SHA256.hex(Array(content.canonical.utf8))
  }

  /// `aw-baseline/strict@1`.
  public var reference: String { "\(name)@\(version)" }

  private static let prefix = "aw-baseline/"

  /// Every version of every baseline, the newest of a name last.
  public static let all: [Baseline] = [
    Baseline(
      name: prefix + "standard", version: 1,
      summary: "OpenClaw's own minimum for an exposed Gateway: no host commands, no elevated tools, messages only.",
      settings: standard),
    Baseline(
      name: prefix + "strict", version: 1,
      summary: "OpenClaw's hardened set: also no automation, file or session tools, and no chat command to restart.",
      settings: standard.merging([
        "commands.restart": false, "session.dmScope": "per-account-channel-peer",
        "tools.deny": ["group:automation", "group:fs", "group:runtime", "sessions_send", "sessions_spawn"],
        "tools.fs.workspaceOnly": true, "tools.sessions.visibility": "self",
      ]) { $1 }),
  ]

  private static let standard: [String: JSONValue] = [
    "commands.restart": true, "discovery.mdns.mode": "off", "gateway.allowRealIpFallback": false,
    "gateway.controlUi.enabled": false, "gateway.http.endpoints.chatCompletions.enabled": false,
    "gateway.http.endpoints.responses.enabled": false, "gateway.terminal.enabled": false, "hooks.enabled": false,
    "logging.audit.enabled": true, "session.dmScope": "per-channel-peer",
    "skills.install.allowUploadedArchives": false, "tools.deny": [], "tools.elevated.enabled": false,
    "tools.exec.ask": "always", "tools.exec.security": "deny", "tools.fs.workspaceOnly": false,
    "tools.profile": "messaging", "tools.sessions.visibility": "tree", "update.auto.enabled": false,
    "update.checkOnStart": false,
  ]

  /// The newest version of each name.
  public static var newest: [Baseline] {
    all.filter { one in !all.contains { $0.name == one.name && $0.version > one.version } }
  }

  /// What an onboarding has until somebody chooses another.
  static let usual = all[0]

  /// Finds one by `strict`, `aw-baseline/strict`, and either with `@1` or `@sha256:…`.
  ///
  /// - Throws: `baselineUnknown`.
  public static func named(_ text: String) throws -> Baseline {
    let parts = text.split(separator: "@", maxSplits: 1).map(String.init)
    let name = parts.first.map { $0.hasPrefix(prefix) ? $0 : prefix + $0 } ?? ""
    let found = all.last { one in
      one.name == name && (parts.count < 2 || parts[1] == String(one.version) || parts[1] == one.digest)
    }
    guard let found else {
      throw AWError(
        .baselineUnknown, "There is no baseline \(text.quoted).",
        next: "Use one of: \(newest.map(\.reference).joined(separator: ", ")). 'aw baseline list' shows them.")
    }
    return found
  }
}

/// One key that differs between two sets of settings.
public struct BaselineChange: Sendable, Equatable, Codable {
  public let key: String
  public let from: JSONValue
  public let to: JSONValue
  /// How the new value stands to the old one.
  public let verdict: Strictness.Verdict

  /// What differs, by key: a pure function.
  public static func between(_ old: [String: JSONValue], _ new: [String: JSONValue]) -> [BaselineChange] {
    GovernedKey.all.compactMap { key in
      let (from, to) = (old[key.path] ?? .null, new[key.path] ?? .null)
      guard from != to else { return nil }
      return BaselineChange(key: key.path, from: from, to: to, verdict: key.order.verdict(of: to, against: from))
    }
  }

  public var words: String { "\(key): \(from.canonical) → \(to.canonical) (\(verdict.rawValue))" }
}
