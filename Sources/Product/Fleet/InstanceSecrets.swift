import Basics
import Link

/// The secrets of an Instance, by reference: the vault holds the values.
public struct InstanceSecrets: Sendable {
  public let gatewayToken: String
  public let deviceSeed: String
  public let deviceToken: String

  public init(_ instance: InstanceID) {
    // The Instance resolves it by that name too.
    gatewayToken = InstanceSecretID.gatewayToken(of: instance)
    deviceSeed = "instance/\(instance)/device-seed"
    deviceToken = "instance/\(instance)/device-token"
  }

  /// The Instance whose secret a reference names; nil for another's.
  static func instance(of reference: String) -> InstanceID? { InstanceSecretID.instance(of: reference) }

  /// The vault's name of a secret of an Instance's control path. `mark` differs from switch to switch.
  static func path(of instance: InstanceID, mark: String, _ name: String) -> String {
    "instance/\(instance)/path-\(mark)-\(name)"
  }

  /// The Instance of whose control path a reference names a secret; nil for another's.
  static func path(of reference: String) -> InstanceID? {
    reference.split(separator: "/").last?.hasPrefix("path-") == true ? instance(of: reference) : nil
  }

  var all: [String] { [gatewayToken, deviceSeed, deviceToken] }
}
