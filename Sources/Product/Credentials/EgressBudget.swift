import Basics
import Store

/// Keeps count of what was asked of vendors by one address, whichever control plane asked.
struct EgressBudget: Sendable {
  let store: Store
  let clock: WallClock
  /// Names the address by which questions leave.
  let egress: String

  static let migrations = [
    Migration(
      "credentials-0003-spending",
      [
        """
        CREATE TABLE vendor_spending (
          id TEXT PRIMARY KEY NOT NULL, vendor TEXT NOT NULL, egress TEXT NOT NULL, at BIGINT NOT NULL)
        """,
        "CREATE INDEX vendor_spending_at ON vendor_spending (vendor, egress, at)",
      ])
  ]

  private enum Question {}

  /// Asks if the budget allows; else it says why not, and nothing was asked.
  ///
  /// It counts before it asks: what a crash leaves counts as refused.
  func spend(
    at vendor: CredentialVendor, _ ask: () async -> VendorCheck.Reading
  ) async throws -> VendorCheck.Reading {
    let (budget, now) = (vendor.budget, clock.now)
    let (vendor, egress) = (vendor.rawValue, egress)
    let id = ID<Question>.make(at: now)
    let decision = try await store.write { tx in
      try tx.run(
        "DELETE FROM vendor_spending WHERE vendor = ? AND egress = ? AND at <= ?",
        [.text(vendor), .text(egress), .time(now.advanced(by: .zero - budget.window))])
      let spent = try tx.run(
        "SELECT at FROM vendor_spending WHERE vendor = ? AND egress = ?", [.text(vendor), .text(egress)]
      ).map { try $0.time("at") }
      let decision = budget.decide(spent, at: now)
      if decision == .ask {
        try tx.run(
          "INSERT INTO vendor_spending (id, vendor, egress, at) VALUES (?, ?, ?, ?)",
          [.id(id), .text(vendor), .text(egress), .time(now)])
      }
      return decision
    }
    if case .skip(let until) = decision { return .unclear(budget.reason(until: until)) }
    let reading = await ask()
    if !budget.keeps(reading) {
      try await store.write { tx in try tx.run("DELETE FROM vendor_spending WHERE id = ?", [.id(id)]) }
    }
    return reading
  }
}
