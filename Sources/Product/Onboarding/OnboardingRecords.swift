import Basics
import Fleet
import Store

/// The SQL of onboardings.
public enum OnboardingRecords {
  public static let migrations = [
    Migration(
      "onboarding-0001",
      [
        // `recorded` is the newest transition in the evidence, so that the next one is known from it.
        "CREATE TABLE onboarding (org TEXT PRIMARY KEY NOT NULL, record TEXT NOT NULL, recorded TEXT)"
      ])
  ]

  static func save(_ record: OnboardingRecord, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO onboarding (org, record) VALUES (?, ?)
      ON CONFLICT (org) DO UPDATE SET record = excluded.record
      """, [.id(record.org), .text(try JSONValue(encoding: record).canonical)])
  }

  static func find(_ org: OrgID, in tx: Transaction) throws -> OnboardingRecord? {
    try tx.run("SELECT record FROM onboarding WHERE org = ?", [.id(org)]).first
      .map { try JSONValue.decode(OnboardingRecord.self, from: $0.text("record")) }
  }

  static func orgs(in tx: Transaction) throws -> [OrgID] {
    try tx.run("SELECT org FROM onboarding ORDER BY org").map { try $0.id("org") }
  }

  /// What the newest transition in the evidence says.
  static func recorded(_ org: OrgID, in tx: Transaction) throws -> OnboardingStanding? {
    try tx.run("SELECT recorded FROM onboarding WHERE org = ?", [.id(org)]).first?.optionalText("recorded")
      .map { try JSONValue.decode(OnboardingStanding.self, from: $0) }
  }

  static func record(_ standing: OnboardingStanding, of org: OrgID, in tx: Transaction) throws {
    try tx.run(
      "UPDATE onboarding SET recorded = ? WHERE org = ?",
      [.text(try JSONValue(encoding: standing).canonical), .id(org)])
  }
}
