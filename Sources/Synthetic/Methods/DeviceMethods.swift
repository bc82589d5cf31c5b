import Basics

extension Gateway {
  func deviceMethod(_ call: Call) throws -> JSONValue? {
    var book = try DeviceBook.load(paths)
    book.expire(nowMilliseconds: nowMilliseconds)
    switch call.method {
    case "device.pair.list": return book.listing
    case "device.pair.approve", "device.pair.reject": return try decidePairing(call, &book)
    case "device.pair.remove":
      guard let device = call.text("deviceId"), book.paired.removeValue(forKey: device) != nil else {
        throw RPCFailure.invalid("unknown deviceId")
      }
      try book.save(paths)
      dropSockets(of: device, role: nil, after: call, ["deviceId": .string(device)])
      return nil
    case "device.token.rotate", "device.token.revoke": return try changeToken(call, &book)
    default: throw unsupported(call.method)
    }
  }

  private func decidePairing(_ call: Call, _ book: inout DeviceBook) throws -> JSONValue {
    guard let requestID = call.text("requestId"), let request = book.pending[requestID] else {
      throw RPCFailure.invalid("unknown requestId")
    }
    let isApproval = call.method == "device.pair.approve"
    let device = request["deviceId"] ?? .null
    var answer: JSONValue = ["requestId": .string(requestID), "deviceId": device]
    if isApproval {
      let mine = connections[call.connection]?.scopes ?? []
      if let missing = request["scopes"]?.strings.first(where: { !Scope.allows(mine, $0) }) {
        throw RPCFailure.invalid("missing scope: \(missing)")
      }
      let record = book.approve(
        requestID: requestID, token: Base64URL.encode([UInt8].random(count: 32)), nowMilliseconds: nowMilliseconds)
      answer = ["requestId": .string(requestID), "device": record.map(DeviceBook.shown) ?? .null]
    } else {
      book.pending[requestID] = nil
    }
    try book.save(paths)
    broadcast(
      "device.pair.resolved",
      [
        "requestId": .string(requestID), "deviceId": device, "decision": isApproval ? "approved" : "rejected",
        "ts": now,
      ], scope: Scope.pairing)
    return answer
  }

  private func changeToken(_ call: Call, _ book: inout DeviceBook) throws -> JSONValue? {
    let (device, role) = (call.text("deviceId") ?? "", call.text("role") ?? "")
    let isRotation = call.method == "device.token.rotate"
    let changed =
      isRotation
      ? book.rotate(
        device: device, role: role, token: Base64URL.encode([UInt8].random(count: 32)),
        nowMilliseconds: nowMilliseconds)
      : book.revoke(device: device, role: role, nowMilliseconds: nowMilliseconds)
    guard let token = changed else { throw RPCFailure.invalid("unknown deviceId/role") }
    try book.save(paths)
    let isOwn = connections[call.connection]?.deviceID == device
    let answer = JSONValue.members([
      "deviceId": .string(device), "role": .string(role), "scopes": isRotation ? token["scopes"] : nil,
      "token": isRotation && isOwn ? token["token"] : nil, "rotatedAtMs": isRotation ? token["rotatedAtMs"] : nil,
      "revokedAtMs": isRotation ? nil : token["revokedAtMs"],
    ])
    dropSockets(of: device, role: role, after: call, answer)
    return nil
  }

  /// Answers, then closes every socket of the device: its credential is no longer what let it in.
  private func dropSockets(of device: String, role: String?, after call: Call, _ answer: JSONValue) {
    send(Frame.response(id: call.requestID, payload: answer), to: call.connection)
    for connection in connections.values where connection.deviceID == device {
      if let role, connection.role != role { continue }
      close(connection.id, code: 4001, reason: "device removed")
    }
  }
}
