import Access
import Basics
import Store

/// Up to when somebody has read the board, kept here and not in their browser.
enum ProgrammeVisits {
  static func last(of actor: Actor, in tx: Transaction) throws -> Timestamp? {
    try tx.run("SELECT at FROM programme_visit WHERE actor = ?", [.text(actor.text)]).first?.time("at")
  }

  /// Never goes back: a page that was left open is older than what was read since.
  static func mark(_ actor: Actor, at time: Timestamp, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO programme_visit (actor, at) VALUES (?, ?)
      ON CONFLICT (actor) DO UPDATE SET at = excluded.at WHERE excluded.at > programme_visit.at
      """, [.text(actor.text), .time(time)])
  }
}
