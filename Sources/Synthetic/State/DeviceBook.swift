import Basics

/// The paired devices and the pairing requests, as they stand in `devices/paired.json` and `devices/pending.json`.
///
/// A value: what it decides depends on its arguments only. `load` and `save` are the I/O around it.
struct DeviceBook: Sendable, Equatable {
  /// By device id.
  var paired: [String: JSONValue] = [:]
  /// By request id.
  var pending: [String: JSONValue] = [:]

  static func load(_ paths: OpenClawPaths) throws -> DeviceBook {
    DeviceBook(
      paired: try StateFile.read(paths.pairedDevices)?.objectValue ?? [:],
      pending: try StateFile.read(paths.pendingDevices)?.objectValue ?? [:])
  }

  func save(_ paths: OpenClawPaths) throws {
    try StateFile.write(.object(paired), to: paths.pairedDevices)
    try StateFile.write(.object(pending), to: paths.pendingDevices)
  }

  // MARK: Reading

  func token(device: String, role: String) -> JSONValue? { paired[device]?.at("tokens", role) }

  /// When the token in force was made: the time of its last rotation, or of its making.
  static func issued(_ token: JSONValue) -> JSONValue? { token["rotatedAtMs"] ?? token["createdAtMs"] }

  /// Why a device that proved its key still needs an approval; nil when it may come in.
  func upgradeReason(_ params: ConnectParams, _ device: ConnectParams.Device) -> String? {
    guard let record = paired[device.id], record["publicKey"]?.stringValue == device.publicKey else {
      return "not-paired"
    }
    if record["platform"]?.stringValue != params.client.platform
      || record["deviceFamily"]?.stringValue != params.client.deviceFamily
    {
      return "metadata-upgrade"
    }
    if record["roles"]?.strings.contains(params.role) != true { return "role-upgrade" }
    let approved = record["scopes"]?.strings ?? []
    return params.scopes.allSatisfy { Scope.allows(approved, $0) } ? nil : "scope-upgrade"
  }

  /// `device.pair.list`: newest first, and no token values.
  var listing: JSONValue {
    func newest(_ records: some Sequence<JSONValue>, by key: String) -> [JSONValue] {
      records.sorted { ($0[key]?.intValue ?? 0) > ($1[key]?.intValue ?? 0) }
    }
    return [
      "pending": .array(newest(pending.values, by: "ts")),
      "paired": .array(newest(paired.values, by: "approvedAtMs").map(Self.shown)),
    ]
  }

  /// A paired device as clients see it.
  static func shown(_ record: JSONValue) -> JSONValue {
    let tokens = (record["tokens"]?.objectValue ?? [:]).sorted { $0.key < $1.key }
    return record.setting("tokens", .array(tokens.map { $0.value.setting("token", nil) }))
  }

  // MARK: Changing

  mutating func expire(nowMilliseconds: Int64) {
    pending = pending.filter { _, request in
      nowMilliseconds - (request["ts"]?.intValue ?? 0) < Limits.pairingRequestMilliseconds
    }
  }

  /// Queues a request for what `params` asks; the same question again keeps its request.
  mutating func request(
    _ params: ConnectParams, _ device: ConnectParams.Device, remoteIP: String?, id: String, nowMilliseconds: Int64
  ) -> (request: JSONValue, isNew: Bool) {
    let mine = pending.filter { $0.value["deviceId"]?.stringValue == device.id }
    let asked = JSONValue.strings(params.scopes)
    if let same = mine.values.first(where: { request in
      request["scopes"] == asked && request["role"]?.stringValue == params.role
        && request["publicKey"]?.stringValue == device.publicKey
    }) {
      return (same, false)
    }
    for key in mine.keys { pending[key] = nil }
    let request = Self.facts(params, device).merging(
      .members([
        "requestId": .string(id), "role": .string(params.role), "roles": .strings([params.role]), "scopes": asked,
        "remoteIp": remoteIP.map { .string($0) }, "silent": false, "isRepair": .bool(paired[device.id] != nil),
        "ts": .integer(nowMilliseconds),
      ]))
    pending[id] = request
    return (request, true)
  }

  /// Pairs at once, as a local client is.
  mutating func pairSilently(
    _ params: ConnectParams, _ device: ConnectParams.Device, token: String, nowMilliseconds: Int64
  ) {
    grant(Self.facts(params, device), role: params.role, scopes: params.scopes, token: token, nowMilliseconds)
  }

  /// Approves a request; nil when there is none with that id.
  mutating func approve(requestID: String, token: String, nowMilliseconds: Int64) -> JSONValue? {
    guard let request = pending.removeValue(forKey: requestID), let device = request["deviceId"]?.stringValue else {
      return nil
    }
    var facts = request
    for key in ["requestId", "silent", "isRepair", "ts", "role", "roles", "scopes"] { facts = facts.setting(key, nil) }
    grant(
      facts, role: request["role"]?.stringValue ?? "operator", scopes: request["scopes"]?.strings ?? [], token: token,
      nowMilliseconds)
    return paired[device]
  }

  mutating func rotate(device: String, role: String, token: String, nowMilliseconds: Int64) -> JSONValue? {
    guard let record = paired[device], let old = record.at("tokens", role) else { return nil }
    let new = old.setting("token", .string(token)).setting("rotatedAtMs", .integer(nowMilliseconds))
      .setting("revokedAtMs", nil)
    paired[device] = record.setting("tokens", record["tokens"]?.setting(role, new))
    return new
  }

  mutating func revoke(device: String, role: String, nowMilliseconds: Int64) -> JSONValue? {
    guard let record = paired[device], let old = record.at("tokens", role) else { return nil }
    let new = old.setting("revokedAtMs", .integer(nowMilliseconds))
    paired[device] = record.setting("tokens", record["tokens"]?.setting(role, new))
    return new
  }

  /// Notes that a paired device connected, and whether by its own token.
  mutating func touch(device: String, role: String, byToken: Bool, nowMilliseconds: Int64) {
    guard var record = paired[device] else { return }
    record = record.setting("lastSeenAtMs", .integer(nowMilliseconds)).setting("lastSeenReason", "connect")
    if byToken, let token = record.at("tokens", role) {
      let used = token.setting("lastUsedAtMs", .integer(nowMilliseconds))
      record = record.setting("tokens", record["tokens"]?.setting(role, used))
    }
    paired[device] = record
  }

  private static func facts(_ params: ConnectParams, _ device: ConnectParams.Device) -> JSONValue {
    .members([
      "deviceId": .string(device.id), "publicKey": .string(device.publicKey),
      "displayName": params.client.displayName.map { .string($0) }, "platform": .string(params.client.platform),
      "deviceFamily": params.client.deviceFamily.map { .string($0) }, "clientId": .string(params.client.id),
      "clientMode": .string(params.client.mode),
    ])
  }

  private mutating func grant(
    _ facts: JSONValue, role: String, scopes: [String], token: String, _ nowMilliseconds: Int64
  ) {
    guard let device = facts["deviceId"]?.stringValue else { return }
    let old = paired[device]
    let now = JSONValue.integer(nowMilliseconds)
    let granted = role == "operator" ? scopes : []
    let added = granted.filter { old?["scopes"]?.strings.contains($0) != true }
    let all = (old?["scopes"]?.strings ?? []) + added
    let oldToken = old?.at("tokens", role)
    let newToken = JSONValue.members([
      "token": .string(token), "role": .string(role), "scopes": .strings(Scope.normalised(all)),
      "createdAtMs": oldToken?["createdAtMs"] ?? now, "rotatedAtMs": oldToken.map { _ in now },
      "lastUsedAtMs": oldToken?["lastUsedAtMs"],
    ])
    var roles = old?["roles"]?.strings ?? []
    if !roles.contains(role) { roles.append(role) }
    paired[device] = facts.merging(
      .members([
        "role": .string(role), "roles": .strings(roles), "scopes": .strings(all),
        "createdAtMs": old?["createdAtMs"] ?? now, "approvedAtMs": now,
        "lastSeenAtMs": old?["lastSeenAtMs"], "lastSeenReason": old?["lastSeenReason"],
        "tokens": (old?["tokens"] ?? [:]).setting(role, newToken),
      ]))
  }
}
