/// A release of OpenClaw: `YYYY.M.PATCH`, with `-alpha.N` and `-beta.N` before it and `-N` corrections after it.
///
/// The order is `alpha < beta < base < -N`; a SemVer comparator would put the corrections first.
public struct GatewayVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
  public enum Suffix: Sendable, Hashable {
    case alpha(Int)
    case beta(Int)
    case none
    case correction(Int)

    fileprivate var rank: (Int, Int) {
      switch self {
      case .alpha(let number): (0, number)
      case .beta(let number): (1, number)
      case .none: (2, 0)
      case .correction(let number): (3, number)
      }
    }
  }

  public let year: Int
  public let month: Int
  public let patch: Int
  public let suffix: Suffix

  public init(_ year: Int, _ month: Int, _ patch: Int, _ suffix: Suffix = .none) {
    self.year = year
    self.month = month
    self.patch = patch
    self.suffix = suffix
  }

  /// Reads `2026.7.1-2`, with or without a leading `v`; nil for anything else.
  public init?(_ text: String) {
    let pattern = /v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-(alpha|beta)\.(\d{1,9})|-(\d{1,9}))?/
    guard let match = text.wholeMatch(of: pattern), let year = Int(match.1), let month = Int(match.2),
      let patch = Int(match.3)
    else { return nil }
    self.init(year, month, patch, Self.suffix(match.4, match.5, match.6))
  }

  private static func suffix(_ stage: Substring?, _ number: Substring?, _ correction: Substring?) -> Suffix {
    if let correction, let number = Int(correction) { return .correction(number) }
    guard let stage, let number = number.flatMap({ Int($0) }) else { return .none }
    return stage == "alpha" ? .alpha(number) : .beta(number)
  }

  public var description: String {
    let base = "\(year).\(month).\(patch)"
    return switch suffix {
    case .alpha(let number): "\(base)-alpha.\(number)"
    case .beta(let number): "\(base)-beta.\(number)"
    case .none: base
    case .correction(let number): "\(base)-\(number)"
    }
  }

  public static func < (left: GatewayVersion, right: GatewayVersion) -> Bool {
    let leftParts = [left.year, left.month, left.patch, left.suffix.rank.0, left.suffix.rank.1]
    let rightParts = [right.year, right.month, right.patch, right.suffix.rank.0, right.suffix.rank.1]
    return leftParts.lexicographicallyPrecedes(rightParts)
  }
}
