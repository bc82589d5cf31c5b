import Basics

/// Who asks for something. Evidence names it as text: `user/<id>`, `token/<id>`, `system/<reason>`.
public enum Actor: Sendable, Hashable, CustomStringConvertible {
  case `operator`(OperatorID)
  case apiToken(TokenID)
  /// AW itself; the reason is the part that acts, such as `watchdog` or `setup`.
  case system(String)

  public var text: String {
    switch self {
    case .operator(let id): "user/\(id)"
    case .apiToken(let id): "token/\(id)"
    case .system(let reason): "system/\(reason)"
    }
  }

  public var description: String { text }

  /// Reads the text form; nil when it is not one.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, !parts[1].isEmpty else { return nil }
    switch parts[0] {
    case "user":
      guard let id = OperatorID(parts[1]) else { return nil }
      self = .operator(id)
    case "token":
      guard let id = TokenID(parts[1]) else { return nil }
      self = .apiToken(id)
    case "system": self = .system(parts[1])
    default: return nil
    }
  }
}
