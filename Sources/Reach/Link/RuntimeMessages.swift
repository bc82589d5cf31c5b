import Basics
import Foundation
import NIOCore
import NIOFoundationCompat

/// One call to a Host's runtimes; each travels on a stream of its own. The list is closed at the Connector.
public enum RuntimeCall: Codable, Sendable {
  case availability
  case prepare(InstanceSpec, InstanceEnvironment)
  case start(RuntimeKind, InstanceID)
  case stop(RuntimeKind, InstanceID)
  case inspect(RuntimeKind, InstanceID)
  case remove(RuntimeKind, InstanceID, purge: Bool)
  case logs(RuntimeKind, InstanceID, lines: Int)
  case approveDevice(RuntimeKind, InstanceID, request: String)
  case instances(RuntimeKind)
  case tunnel(TunnelOrder)
  /// The answer to a question of this Connector.
  case secrets(SecretAnswer)
}

public enum RuntimeReply: Codable, Sendable {
  case availability([RuntimeAvailability])
  case state(RunState)
  case lines([String])
  case instances([InstanceID])
  case tunnel(TunnelState)
  case done
  case failed(Refused)
}

/// The environment of an Instance, secrets included, on its way to the Host.
///
/// It encodes only with the link's own codec: any other encoder is refused, so that it cannot reach a log, the
/// database or the evidence by way of the message that carries it.
public struct InstanceEnvironment: Codable, Sendable {
  public let values: [String: Secret]

  public init(_ values: [String: Secret]) { self.values = values }

  fileprivate static let permit = CodingUserInfoKey(rawValue: "aw.link.codec")

  public init(from decoder: any Decoder) throws {
    values = try decoder.singleValueContainer().decode([String: String].self).mapValues { Secret($0) }
  }

  public func encode(to encoder: any Encoder) throws {
    guard let permit = InstanceEnvironment.permit, encoder.userInfo[permit] != nil else {
      throw EncodingError.invalidValue(
        self, .init(codingPath: encoder.codingPath, debugDescription: "secrets encode on the link only"))
    }
    var container = encoder.singleValueContainer()
    try container.encode(values.mapValues { $0.withText { $0 } })
  }
}

/// Messages as JSON, the one way they are written on the link.
public enum LinkCodec {
  /// - Parameter bytesMin: a shorter message is filled up with spaces, which say nothing in JSON.
  public static func encode(_ message: some Encodable, bytesMin: Int = 0) throws -> ByteBuffer {
    let encoder = JSONEncoder()
    if let permit = InstanceEnvironment.permit { encoder.userInfo[permit] = true }
    var bytes = ByteBuffer(data: try encoder.encode(message))
    bytes.writeRepeatingByte(UInt8(ascii: " "), count: max(0, bytesMin - bytes.readableBytes))
    return bytes
  }

  public static func decode<Message: Decodable>(_ type: Message.Type, from buffer: ByteBuffer) throws -> Message {
    try JSONDecoder().decode(type, from: Data(buffer: buffer))
  }
}
