import Basics
import Foundation
import Logging

extension Gateway {
  func handshake(_ frame: JSONValue, nonce: String, _ id: String) {
    guard Schema.requestFrame.problem(in: frame) == nil, let requestID = frame["id"]?.stringValue else {
      return close(id, code: 1008, reason: "invalid request frame")
    }
    guard frame["method"]?.stringValue == "connect" else {
      return refuse(.invalid("invalid handshake: first request must be connect"), 1008, requestID, id)
    }
    do {
      let params = try ConnectParams(frame["params"] ?? [:])
      try connect(params, nonce: nonce, requestID, id)
    } catch let failure as RPCFailure {
      refuse(failure, 1008, requestID, id)
    } catch {
      logger.error("handshake failed", metadata: ["error": "\(error)"])
      refuse(.unavailable("gateway state unavailable"), 1011, requestID, id)
    }
  }

  private func refuse(_ failure: RPCFailure, _ code: UInt16, _ requestID: String, _ id: String, reason: String? = nil) {
    send(Frame.response(id: requestID, failure: failure), to: id)
    close(id, code: code, reason: reason ?? failure.message)
  }

  private func connect(_ params: ConnectParams, nonce: String, _ requestID: String, _ id: String) throws {
    guard let connection = connections[id] else { return }
    refreshConfig()
    var book = try DeviceBook.load(paths)
    book.expire(nowMilliseconds: nowMilliseconds)
    let handshake = Handshake(
      params: params, nonce: nonce, isLoopback: connection.isLoopback, auth: auth, book: book,
      autoApproveLocal: config.parsed.at("gateway", "nodes", "pairing", "autoApproveLocal")?.boolValue ?? true,
      wrongToken: faults.current.wrongToken, nowMilliseconds: nowMilliseconds)
    switch handshake.decide() {
    case .refuse(let failure, let code): refuse(failure, code, requestID, id)
    case .pair(let reason):
      guard let device = params.device else { return }
      let (request, isNew) = book.request(
        params, device, remoteIP: connection.isLoopback ? nil : connection.remoteIP, id: freshID(),
        nowMilliseconds: nowMilliseconds)
      try book.save(paths)
      if isNew { broadcast("device.pair.requested", request, scope: Scope.pairing) }
      let failure = PairingText.failure(reason: reason, request: request, record: book.paired[device.id])
      let name = request["requestId"]?.stringValue ?? ""
      refuse(failure, 1008, requestID, id, reason: "\(failure.message) (requestId: \(name))")
    case .admit(let admission): try admit(params, admission, &book, requestID, id)
    }
  }

  private func admit(
    _ params: ConnectParams, _ admission: Handshake.Admission, _ book: inout DeviceBook, _ requestID: String,
    _ id: String
  ) throws {
    guard var connection = connections[id] else { return }
    if let device = params.device {
      if admission.pairsSilently {
        book.pairSilently(
          params, device, token: Base64URL.encode([UInt8].random(count: 32)), nowMilliseconds: nowMilliseconds)
      }
      book.touch(
        device: device.id, role: params.role, byToken: admission.byDeviceToken, nowMilliseconds: nowMilliseconds)
      try book.save(paths)
      connection.deviceID = device.id
    }
    connection.phase = .open
    (connection.scopes, connection.role, connection.client) = (admission.scopes, params.role, params.client)
    connection.bySharedSecret = admission.bySharedSecret
    connection.presenceKey = Presence.key(params, connection: id)
    connections[id] = connection
    if let key = connection.presenceKey {
      presence[key] = Presence.entry(params, scopes: admission.scopes, nowMilliseconds: nowMilliseconds)
      presenceVersion += 1
    }
    let token = admission.hasToken ? params.device.flatMap { book.token(device: $0.id, role: params.role) } : nil
    send(Frame.response(id: requestID, payload: helloOK(connection, params, token)), to: id)
    if faults.current.drop {
      connection.outgoing.yield(.cut)
      return
    }
    Task { self.refreshHealth() }
  }

  private func helloOK(_ connection: Connection, _ params: ConnectParams, _ token: JSONValue?) -> JSONValue {
    let isAdmin = Scope.allows(connection.scopes, Scope.admin)
    let agent = settings.defaultAgent.id
    return [
      "type": "hello-ok", "protocol": .integer(Synthetic.protocolVersion),
      "server": ["version": .string(Synthetic.version), "connId": .string(connection.id)],
      "features": ["methods": .strings(Catalogue.methods), "events": .strings(Catalogue.events)],
      "snapshot": .members([
        "presence": presenceList, "health": lastHealth, "stateVersion": stateVersion,
        "uptimeMs": .integer(uptimeMilliseconds),
        "sessionDefaults": [
          "defaultAgentId": .string(agent), "mainKey": "main", "mainSessionKey": .string("agent:\(agent):main"),
          "scope": "per-sender",
        ],
        "configPath": isAdmin ? .string(paths.configFile) : nil,
        "stateDir": isAdmin ? .string(paths.stateDirectory) : nil,
        "authMode": isAdmin ? .string(auth.mode.rawValue) : nil,
      ]),
      "auth": .members([
        "role": .string(params.role), "scopes": token?["scopes"] ?? .strings(connection.scopes),
        "deviceToken": token?["token"], "issuedAtMs": token.flatMap(DeviceBook.issued),
      ]),
      "policy": [
        "maxPayload": .int(Limits.payloadBytesMax), "maxBufferedBytes": .int(Limits.bufferedBytesMax),
        "tickIntervalMs": .integer(Limits.tickIntervalMilliseconds),
      ],
    ]
  }

  // MARK: Presence

  var stateVersion: JSONValue { ["presence": .integer(presenceVersion), "health": .integer(healthVersion)] }

  /// The Gateway's own line first, then the newest.
  var presenceList: JSONValue {
    let host = ProcessInfo.processInfo.hostName
    let own: JSONValue = .members([
      "host": .string(host), "ip": .string(HostFacts.address), "version": .string(Synthetic.version),
      "platform": .string(HostFacts.platform), "deviceFamily": "Linux",
      "modelIdentifier": .string(HostFacts.machine), "mode": "gateway", "reason": "self",
      "instanceId": .string(instanceID),
      "text": .string(
        "Gateway: \(host) (\(HostFacts.address)) · app \(Synthetic.version) · mode gateway · reason self"),
      "ts": now,
    ])
    return .array([own] + presence.values.sorted { ($0["ts"]?.intValue ?? 0) > ($1["ts"]?.intValue ?? 0) })
  }

  func broadcastPresence() {
    broadcast("presence", ["presence": presenceList], scope: nil, stateVersion: stateVersion)
  }
}

/// Lines of the presence list.
enum Presence {
  /// Command lines come and go too often to be listed.
  static func key(_ params: ConnectParams, connection: String) -> String? {
    guard params.client.mode != "cli" else { return nil }
    return params.device?.id ?? params.client.instanceId ?? connection
  }

  static func entry(_ params: ConnectParams, scopes: [String], nowMilliseconds: Int64) -> JSONValue {
    let client = params.client
    let name = client.displayName ?? client.id
    return .members([
      "host": .string(name), "version": .string(client.version), "platform": .string(client.platform),
      "deviceFamily": client.deviceFamily.map { .string($0) },
      "modelIdentifier": client.modelIdentifier.map { .string($0) }, "mode": .string(client.mode),
      "deviceId": params.device.map { .string($0.id) }, "roles": .strings([params.role]),
      "scopes": params.role == "operator" ? .strings(scopes) : nil,
      "instanceId": (params.device?.id ?? client.instanceId).map { .string($0) }, "reason": "connect",
      "ts": .integer(nowMilliseconds), "text": .string("Node: \(name) · mode \(client.mode)"),
    ])
  }
}
