import Basics
import Foundation

/// What travels on the Gateway WebSocket. Requests are closed objects: nothing is sent that the schema does not name.
/// Answers are read leniently.
enum GatewayFrame: Sendable, Equatable {
  case response(id: String, Result<JSONValue, GatewayFailure>)
  case event(GatewayEvent)
  /// Something that this client does not know: skipped.
  case other

  /// Told to everybody who is connected, a few KiB each time. Nobody here reads what they say: a check asks.
  private static let unreadEvents: Set<String> = ["health", "presence", "tick"]
  private static let payload = JSONOmissions.members(["payload": .whole])
  /// Of a greeting, nine tenths of it: what the Gateway can do, who else is there, and how it is.
  private static let unreadMembers = JSONOmissions.members([
    "payload": .members(["features": .whole, "snapshot": .members(["health": .whole, "presence": .whole])])
  ])

  init(parsing bytes: some Collection<UInt8>) throws {
    var value = try JSONValue(parsing: bytes, omitting: Self.payload)
    let isUnread = value["type"] == "event" && value["event"]?.stringValue.map(Self.unreadEvents.contains) ?? false
    if !isUnread { value = try JSONValue(parsing: bytes, omitting: Self.unreadMembers) }
    switch value["type"]?.stringValue {
    case "res":
      guard let id = value["id"]?.stringValue else { throw Malformed() }
      if value["ok"]?.boolValue == true {
        self = .response(id: id, .success(value["payload"] ?? .null))
      } else {
        self = .response(id: id, .failure(GatewayFailure(error: value["error"] ?? .null)))
      }
    case "event":
      guard let name = value["event"]?.stringValue else { throw Malformed() }
      self = .event(
        GatewayEvent(name: name, payload: value["payload"] ?? .null, sequence: value["seq"]?.intValue))
    default:
      self = .other
    }
  }

  struct Malformed: Error {}

  static func request(id: String, method: String, params: JSONValue) -> String {
    JSONValue.object(["type": "req", "id": .string(id), "method": .string(method), "params": params]).canonical
  }
}

public struct GatewayEvent: Sendable, Equatable {
  public let name: String
  public let payload: JSONValue
  /// Contiguous on one connection, and only on events for everybody.
  public let sequence: Int64?
}

/// Who AW says it is when it connects. The enumerations are closed at the Gateway.
public struct ConnectOptions: Sendable, Equatable {
  public var clientID: String
  public var clientMode: String
  public var scopes: [String]
  /// AW's own version.
  public var version: String

  public init(clientID: String, clientMode: String, scopes: [String], version: String) {
    self.clientID = clientID
    self.clientMode = clientMode
    self.scopes = scopes
    self.version = version
  }

  /// What AW needs to look and to run a model turn: nothing that changes configuration or pairing.
  public static let narrowestScopes = ["operator.read", "operator.write"]

  /// The everyday identity.
  public static func control(version: String) -> ConnectOptions {
    ConnectOptions(clientID: "gateway-client", clientMode: "backend", scopes: narrowestScopes, version: version)
  }

  /// The identity for the first connection: as `gateway-client` the Gateway would let it in without pairing it.
  public static func bootstrap(version: String) -> ConnectOptions {
    ConnectOptions(clientID: "cli", clientMode: "cli", scopes: narrowestScopes, version: version)
  }
}

/// With what AW proves itself.
public struct GatewayCredentials: Sendable {
  /// The shared token (bootstrap only) or the device's own.
  public let token: Secret
  public let device: DeviceIdentity

  public init(token: Secret, device: DeviceIdentity) {
    self.token = token
    self.device = device
  }
}

/// The `connect` request, complete. Optional members that are not needed are absent: the schema refuses null.
enum ConnectRequest {
  static let protocolVersion: Int64 = 4

  static func params(
    _ options: ConnectOptions, _ credentials: GatewayCredentials, nonce: String, signedAt: Int64
  ) throws -> JSONValue {
    let role = "operator"
    return try credentials.token.withText { token in
      let statement = DeviceIdentity.Statement(
        deviceID: credentials.device.id, clientID: options.clientID, clientMode: options.clientMode, role: role,
        scopes: options.scopes, signedAt: signedAt, token: token, nonce: nonce)
      return [
        "minProtocol": .integer(protocolVersion), "maxProtocol": .integer(protocolVersion),
        "client": [
          "id": .string(options.clientID), "version": .string(options.version),
          "platform": .string(DeviceIdentity.platform), "deviceFamily": .string(DeviceIdentity.deviceFamily),
          "mode": .string(options.clientMode),
        ],
        "role": .string(role), "scopes": .array(options.scopes.map { .string($0) }), "caps": [],
        "locale": "en-US", "userAgent": .string("aw/\(options.version)"),
        "auth": ["token": .string(token)],
        "device": [
          "id": .string(credentials.device.id), "publicKey": .string(credentials.device.publicKey),
          "signature": .string(try credentials.device.sign(statement)), "signedAt": .integer(signedAt),
          "nonce": .string(nonce),
        ],
      ]
    }
  }
}

/// What the Gateway said when it let AW in.
public struct HelloOK: Sendable {
  public let version: String
  public let protocolVersion: Int64
  /// The live authority of this socket: may be less than was asked for.
  public let scopes: [String]
  public let deviceToken: Secret?
  public let uptimeMilliseconds: Int64?
  public let tickInterval: Duration
  /// What the Gateway's clock said when it challenged AW; nil if that is not known.
  public let gatewayTime: Timestamp?

  init(_ payload: JSONValue, gatewayTime: Timestamp? = nil) throws {
    guard payload["type"]?.stringValue == "hello-ok", let version = payload["server"]?["version"]?.stringValue else {
      throw GatewayFrame.Malformed()
    }
    self.version = version
    self.gatewayTime = gatewayTime
    protocolVersion = payload["protocol"]?.intValue ?? 0
    scopes = payload["auth"]?["scopes"]?.arrayValue?.compactMap(\.stringValue) ?? []
    deviceToken = payload["auth"]?["deviceToken"]?.stringValue.map { Secret($0) }
    uptimeMilliseconds = payload["snapshot"]?["uptimeMs"]?.intValue
    tickInterval = .milliseconds(payload["policy"]?["tickIntervalMs"]?.intValue ?? 30_000)
  }
}
