import Basics
import Link
import OpenClaw

/// Why a control path does not lead to the Instance.
public struct PathFailure: ExplainedError, Sendable, Equatable {
  public let explained: AWError
  /// The class of the loss, where one fits.
  public let lossClass: LossClass?
  /// Trying again soon cannot help: a person has to mend it.
  public let isRefusal: Bool

  public init(_ error: AWError, _ lossClass: LossClass? = nil, isRefusal: Bool = false) {
    explained = error
    self.lossClass = lossClass
    self.isRefusal = isRefusal
  }

  /// What of it is evidence.
  public var evidence: JSONValue {
    lossClass.map { ["class": .string($0.rawValue), "side": .string($0.side.rawValue)] } ?? .null
  }
}

enum PathErrors {
  static func invalid(_ what: String) -> AWError {
    AWError(.pathInvalid, what, next: "Correct it; docs/paths.md has what each kind of path needs.")
  }
}

/// What control paths may take.
public enum PathLimits {
  public static let sshConnectWithin = Duration.seconds(10)
  /// How long a dial waits for a forward that is being made.
  static let forwardWithin = Duration.seconds(12)
  /// How long a dial waits for a forward that was lost and is being made again.
  static let againWithin = Duration.seconds(1)
  /// Between two looks for the socket of a forward.
  static let pollInterval = Duration.milliseconds(20)
  /// For connecting to a public hostname, and again for its TLS handshake.
  static let connectWithin = Duration.seconds(4)
  /// A path that was switched away from stays this long for what is under way on it.
  public static let drainFor = Duration.seconds(60)
  /// Kept of what ssh says.
  static let sshWordsBytesMax = 8_192
  /// Of the head of an answer, until it is left to whoever asked.
  static let answerHeadBytesMax = 16_384
  /// Addresses of one hostname that are tried, one after the other.
  static let addressesMax = 3
  public static let privateRangesMax = 20
}

/// A control path that can be used: bytes to the Instance's port, and a look at the path itself.
public protocol ControlWay: ByteDialer {
  /// What the path itself shows, before anything is asked of the Instance.
  ///
  /// - Throws: why it does not lead there.
  func look() async throws -> JSONValue
}
