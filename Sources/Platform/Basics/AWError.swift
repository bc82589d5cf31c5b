/// A failure that reaches a person: what failed, why, what to do next, and a stable code.
///
/// `message` and `next` are safe for people. `cause` is for the log only and is never sent to a client.
/// Two errors are equal when their codes are (the text may improve between releases).
public struct AWError: Error, Sendable, CustomStringConvertible {
  public let code: ErrorCode
  /// What failed and why, in one or two sentences.
  public let message: String
  /// What the reader can do next.
  public let next: String
  /// The underlying failure, for the log.
  public let cause: (any Error)?

  public init(_ code: ErrorCode, _ message: String, next: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.next = next
    self.cause = cause
  }

  public var description: String { "\(message) \(next) [\(code.id)]" }

  /// The whole chain of causes, outermost first: for the log.
  public var chain: String {
    guard let cause else { return description }
    if let cause = cause as? AWError { return description + " <- " + cause.chain }
    return description + " <- \(cause)"
  }

  /// Wraps what is not an `AWError` yet, so that a person never sees a raw one.
  public static func wrapping(_ error: any Error, doing what: String) -> AWError {
    if let error = error as? AWError { return error }
    if let error = error as? any ExplainedError { return error.explained }
    return AWError(
      .internalFailure, "\(what) failed for a reason AW does not know how to explain.",
      next: "Look in the log of the control plane for the details.", cause: error)
  }
}

extension AWError: Equatable {
  public static func == (left: AWError, right: AWError) -> Bool { left.code == right.code }
}

/// An error of a room that knows how to speak to people.
public protocol ExplainedError: Error {
  var explained: AWError { get }
}
