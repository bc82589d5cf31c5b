import Basics

/// The IRC accounts of the config and how they fare. IRC is the one channel plugin of this stand-in: a channel that is
/// configured but has no plugin is absent, as with a real Gateway.
struct ChannelBoard: Sendable {
  struct Account: Sendable, Equatable {
    var id: String
    var name: String?
    var enabled: Bool
    var host: String
    var port: Int
    var tls: Bool
    var nick: String
    var hasPassword: Bool
    var running = false
    var lastStartAt: Int64?
    var lastStopAt: Int64?
    var lastError: String?
    var restartPending = false
    var reconnectAttempts: Int64?
    /// Somebody stopped it by hand: it stays down.
    var isStopped = false
  }

  var accounts: [Account] = []
  var isEmpty: Bool { accounts.isEmpty }

  init() {}

  init(config: JSONValue) {
    guard let irc = config.at("channels", "irc"), irc["enabled"]?.boolValue != false,
      config.at("plugins", "enabled")?.boolValue != false
    else { return }
    let listed = irc["accounts"]?.objectValue ?? (irc["host"] == nil ? [:] : ["default": irc])
    accounts = listed.sorted { $0.key < $1.key }.map { id, account in
      let isEnabled = account["enabled"]?.boolValue ?? true
      return Account(
        id: id, name: account["name"]?.stringValue, enabled: isEnabled,
        host: account["host"]?.stringValue ?? "127.0.0.1",
        port: account["port"]?.intValue.flatMap(Int.init(exactly:)) ?? 6697, tls: account["tls"]?.boolValue ?? true,
        nick: account["nick"]?.stringValue ?? "openclaw", hasPassword: account["password"] != nil,
        lastError: isEnabled ? nil : "disabled", reconnectAttempts: isEnabled ? 0 : nil)
    }
  }

  mutating func change(_ id: String, _ body: (inout Account) -> Void) {
    guard let index = accounts.firstIndex(where: { $0.id == id }) else { return }
    body(&accounts[index])
  }

  var defaultAccount: Account? { accounts.first { $0.id == "default" } ?? accounts.first }

  static func snapshot(_ account: Account) -> JSONValue {
    .members([
      "accountId": .string(account.id), "name": account.name.map { .string($0) }, "enabled": .bool(account.enabled),
      "configured": true, "running": .bool(account.running),
      "lastStartAt": account.lastStartAt.map { .integer($0) } ?? .null,
      "lastStopAt": account.lastStopAt.map { .integer($0) } ?? .null,
      "lastError": account.lastError.map { .string($0) } ?? .null, "restartPending": .bool(account.restartPending),
      "reconnectAttempts": account.reconnectAttempts.map { .integer($0) }, "lastInboundAt": .null,
      "lastOutboundAt": .null, "host": .string(account.host), "port": .int(account.port), "tls": .bool(account.tls),
      "nick": .string(account.nick), "passwordSource": account.hasPassword ? "config" : "none",
      "healthState": account.enabled && !account.running ? "not-running" : nil,
    ])
  }

  /// `channels` of the health summary.
  var health: JSONValue {
    guard let main = defaultAccount else { return [:] }
    func probed(_ account: Account) -> JSONValue { Self.snapshot(account).setting("lastProbeAt", .null) }
    let all = Dictionary(uniqueKeysWithValues: accounts.map { ($0.id, probed($0)) })
    return ["irc": probed(main).setting("accounts", .object(all))]
  }

  /// `channelSummary` of the status.
  var summary: [String] {
    guard !isEmpty else { return [] }
    return ["IRC: configured"]
      + accounts.map { account in
        let name = account.name.map { " (\($0))" } ?? ""
        return "  - \(account.id)\(name) (\(account.enabled ? "" : "disabled, ")port:\(account.port))"
      }
  }

  func status(now: JSONValue, eventLoop: JSONValue) -> JSONValue {
    let base: JSONValue = ["ts": now, "eventLoop": eventLoop]
    guard let main = defaultAccount else {
      return base.merging([
        "channelOrder": [], "channelLabels": [:], "channelDetailLabels": [:], "channelSystemImages": [:],
        "channelMeta": [], "channels": [:], "channelAccounts": [:], "channelDefaultAccountId": [:],
      ])
    }
    let shown = Self.snapshot(main).objectValue ?? [:]
    let keys = ["configured", "running", "lastStartAt", "lastStopAt", "lastError", "host", "port", "tls", "nick"]
    let summary = shown.filter { keys.contains($0.key) }.merging(["lastProbeAt": .null]) { old, _ in old }
    return base.merging([
      "channelOrder": ["irc"], "channelLabels": ["irc": "IRC"], "channelDetailLabels": ["irc": "IRC"],
      "channelSystemImages": ["irc": "number"],
      "channelMeta": [["id": "irc", "label": "IRC", "detailLabel": "IRC", "systemImage": "number"]],
      "channels": ["irc": .object(summary)], "channelAccounts": ["irc": .array(accounts.map(Self.snapshot))],
      "channelDefaultAccountId": ["irc": .string(main.id)],
    ])
  }
}
