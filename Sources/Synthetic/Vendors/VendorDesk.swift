import NIOConcurrencyHelpers

/// What the simulated vendors know beyond what a value itself says: keys that were given out, and keys that are dead.
///
/// There are two doors. At `fixtures` whole fixtures are let in; at `accounts` only what was admitted here is, so that
/// a test can stand in for the vendors' own addresses.
public final class VendorDesk: Sendable {
  public enum Door: String, CaseIterable, Sendable {
    case fixtures = "/vendors"
    case accounts = "/endpoints"
  }

  private struct State {
    var accounts: [String: String] = [:]
    var revoked: Set<String> = []
    var asked: [Door: Int] = [:]
    var strays = 0
  }

  private let state = NIOLockedValueBox(State())

  public init() {}

  /// Gives out a key: values of one name are one account.
  public func admit(_ value: String, as name: String) { state.withLockedValue { $0.accounts[value] = name } }

  /// From now on the value is refused, at both doors.
  public func revoke(_ value: String) { state.withLockedValue { _ = $0.revoked.insert(value) } }

  /// How often somebody asked at a door.
  public func asked(at door: Door) -> Int { state.withLockedValue { $0.asked[door] ?? 0 } }

  /// How often a fixture came to the accounts' door, or something else to that of fixtures: never, if AW is right.
  public var strays: Int { state.withLockedValue { $0.strays } }

  func came(to door: Door, with shown: String, isFixture: Bool) {
    state.withLockedValue { state in
      state.asked[door, default: 0] += 1
      if !shown.isEmpty, isFixture != (door == .fixtures) { state.strays += 1 }
    }
  }

  func isRevoked(_ value: String) -> Bool { state.withLockedValue { $0.revoked.contains(value) } }

  /// What was given out.
  var values: [String] { state.withLockedValue { Array($0.accounts.keys) } }

  func account(of value: String) -> String? { state.withLockedValue { $0.accounts[value] } }
}
