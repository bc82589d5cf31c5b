import Basics
import Fleet
import Foundation
import Link

/// What came of one fault under one load.
struct CellResult: Sendable, Codable {
  let fault: Fault
  let load: Load
  /// The status at the end of the fault, and the class of what was lost.
  var verdict: Status?
  var lossClass: LossClass?
  /// Seconds until each end had given the link up, until the hard verdict, and from the heal to `current`.
  var noticedByControl: Double?
  var noticedByHost: Double?
  var verdictAfter: Double?
  var backAfter: Double?
  /// An Instance that could be reached was called unreachable.
  var falselyUnreachable = false
  var requests = LoadReport()
  /// What the Watchdog said, each time that it said something else.
  var timeline: [String] = []
  /// What was recorded of the losses, for the replay.
  var losses: [LossView] = []
  /// Why the cell could not be carried out.
  var broken: String?

  /// The polls that measure come every 200 ms, and a debug build on a shared machine runs late.
  static let slackSeconds = 2.0
  static let noticedWithinSeconds = 10.0

  var isVerdictRight: Bool {
    guard broken == nil, !falselyUnreachable, verdict == fault.verdict else { return false }
    guard fault.course == .outage, let verdictAfter else { return fault.course != .outage || fault == .revoked }
    return verdictAfter <= Double(fault.verdictWithinSeconds) + Self.slackSeconds
  }

  var isClassRight: Bool { broken == nil && lossClass == fault.lossClass }

  /// Both ends noticed a silent fault in time; an end that stands still notices nothing.
  var isNoticedInTime: Bool {
    guard fault.isSilent, broken == nil else { return broken == nil }
    let ends = fault == .stopConnector ? [noticedByControl] : [noticedByControl, noticedByHost]
    return ends.allSatisfy { $0.map { $0 <= Self.noticedWithinSeconds + 1 } ?? false }
  }

  var isRight: Bool { isVerdictRight && isClassRight && isNoticedInTime && requests.hung == 0 }

  /// Takes in what the Watchdog says.
  mutating func note(_ reading: StatusView?, after time: Duration) {
    verdict = reading?.status
    let said = reading.map { "\($0.status.rawValue): \($0.reason)" } ?? "gone"
    guard timeline.last?.hasSuffix(said) != true else { return }
    timeline.append(String(format: "%.1f s ", time.seconds) + said)
  }

  /// What was recorded of the losses, for whoever asks why a class is wrong.
  private var account: String {
    losses.map { loss in
      let told = [try? JSONValue(encoding: loss.seen), loss.account.flatMap { try? JSONValue(encoding: $0) }]
      return "\(loss.lossClass.rawValue) by \(loss.rule.rawValue) \(told.compactMap { $0?.canonical })"
    }.joined(separator: ", ")
  }

  var line: String {
    func seconds(_ value: Double?) -> String { value.map { String(format: "%.1f s", $0) } ?? "-" }
    let marks = [
      isVerdictRight ? nil : "VERDICT", isClassRight ? nil : "CLASS \(account)", isNoticedInTime ? nil : "LATE",
      requests.hung == 0 ? nil : "\(requests.hung) HUNG", broken.map { "BROKEN: \($0.prefix(1_500))" },
    ].compactMap { $0 }
    return "| \(fault.rawValue) | \(load.rawValue) | \(verdict?.rawValue ?? "gone") | \(lossClass?.rawValue ?? "-") | "
      + "\(seconds(noticedByControl)) / \(seconds(noticedByHost)) | \(seconds(verdictAfter)) | \(seconds(backAfter)) | "
      + "\(requests.good) / \(requests.failed) | "
      + (marks.isEmpty ? "right |" : marks.joined(separator: ", ") + "; " + timeline.joined(separator: "; ") + " |")
  }
}

/// Carries one cell of the matrix out.
struct Cell: Sendable {
  let fault: Fault
  let load: Load

  /// The connections of the link, as each end holds them.
  private struct Ends {
    let control: Set<String>
    let host: Set<String>
  }

  /// How long a blip or noise is watched.
  static let watched = Duration.seconds(25)
  static let grace = Duration.seconds(17)
  /// A process that stands still does so for longer than it takes the other end to give up.
  static let stoodStill = Duration.seconds(15)

  func run() async -> CellResult {
    do {
      return try await Site.with(forwards: load != .idle || fault.needsForwarding) { try await run($0) }
    } catch {
      var result = CellResult(fault: fault, load: load)
      result.broken = "\(error)"
      return result
    }
  }

  private func run(_ site: Site) async throws -> CellResult {
    var result = CellResult(fault: fault, load: load)
    try LoadRunner.prepare(load, site)
    let runner = LoadRunner(load, site)
    try await Pace.wait(.seconds(2))
    // A control plane that has just started gives Hosts some time before it blames them for a missing link.
    try await Pace.wait(Self.grace - (ContinuousClock.now - site.builtAt))
    let (losses, logged) = (Set(try await site.losses().map(\.id)), await site.classesLogged().count)
    let before = Ends(
      control: try await site.connections(in: site.control), host: try await site.connections(in: site.host))
    let began = ContinuousClock.now
    do {
      try await fault.inject(into: site)
      switch fault.course {
      case .outage: try await watchOutage(site, since: began, before, &result)
      case .blip: try await watchBlip(site, &result)
      case .noise: try await watchCalm(site, &result)
      }
      if fault.course != .blip { try await fault.heal(site) }
      try await watchReturn(site, &result)
      result.losses = try await site.losses().filter { !losses.contains($0.id) }
      result.lossClass = Self.lossClass(fault, result.losses, Array(await site.classesLogged().dropFirst(logged)))
    } catch {
      _ = await runner.stop()
      throw error
    }
    result.requests = await runner.stop()
    return result
  }

  /// The class that counts: of the last dial for a fault of dials, else of the newest loss.
  private static func lossClass(_ fault: Fault, _ losses: [LossView], _ logged: [String]) -> LossClass? {
    if fault.isDial { return logged.last { $0 != LossClass.gatewayCrash.rawValue }.flatMap(LossClass.init(rawValue:)) }
    return losses.max { $0.at < $1.at }?.lossClass
  }

  private func watchOutage(
    _ site: Site, since began: ContinuousClock.Instant, _ before: Ends,
    _ result: inout CellResult
  ) async throws {
    let limit = Duration.seconds(fault.verdictWithinSeconds + 20)
    while ContinuousClock.now - began < limit {
      let passed = (ContinuousClock.now - began).seconds
      if result.noticedByControl == nil,
        try await site.connections(in: site.control).isDisjoint(with: before.control)
      {
        result.noticedByControl = passed
      }
      if result.noticedByHost == nil, try await site.connections(in: site.host).isDisjoint(with: before.host) {
        result.noticedByHost = passed
      }
      result.note(try await site.reading(), after: .seconds(passed))
      if result.verdict == fault.verdict, result.verdictAfter == nil { result.verdictAfter = passed }
      let isNoticed = result.noticedByControl != nil && (result.noticedByHost != nil || fault == .stopConnector)
      if result.verdictAfter != nil, isNoticed { break }
      try await Pace.wait(.milliseconds(200))
    }
    // A dial that fails needs time to do so.
    if fault.isDial { try await Pace.wait(.seconds(5)) }
  }

  private func watchBlip(_ site: Site, _ result: inout CellResult) async throws {
    if fault == .stopControl { try await Pace.wait(Self.stoodStill) }
    try await fault.heal(site)
    try await watchCalm(site, &result)
  }

  /// The Instance can be reached all the time, or almost: it is never called unreachable.
  private func watchCalm(_ site: Site, _ result: inout CellResult) async throws {
    let began = ContinuousClock.now
    while ContinuousClock.now - began < Self.watched {
      result.note(try await site.reading(), after: ContinuousClock.now - began)
      if result.verdict == .unreachable { result.falselyUnreachable = true }
      try await Pace.wait(.milliseconds(500))
    }
  }

  private func watchReturn(_ site: Site, _ result: inout CellResult) async throws {
    guard fault != .revoked else { return }
    let back = try await Pace.until(within: .seconds(60)) {
      guard try await site.isLinked(), try await site.status() == .current else { return false }
      // A loss is told of from both ends once the Host is back.
      return try await site.losses().allSatisfy { $0.recoveredAt != nil }
    }
    result.backAfter = back?.seconds
    if back == nil { result.broken = "it did not come back: \(await site.logs)" }
  }
}
