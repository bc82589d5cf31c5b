import Access
import Basics
import Credentials
import Fleet
import Onboarding
import Store
import Work

/// Starts the Instances of an Org anew when a credential has another version: by the onboarding, whose report is then
/// of the desired state as it is now, or else by the fleet alone.
struct InstanceRuns: Sendable {
  let store: Store
  let fleet: FleetService
  let onboarding: OnboardingService

  private static let actor = Actor.system("rotation")

  func begin(_ org: Slug, _ since: Timestamp, touched: Timestamp?) async throws {
    for (instance, newest) in try await running(org) {
      if let newest, newest.createdAt >= since, newest.progress.state != .failed { continue }
      if let touched, newest.map({ $0.createdAt < touched }) ?? true { continue }
      if let newest, !newest.isFinished { throw WorkRecords.busy }
      if try await provisions(instance.slug, of: org) {
        _ = try await onboarding.provision(org: org, as: Self.actor)
      } else {
        _ = try await fleet.operate(.restart, on: instance.slug, as: Self.actor)
      }
    }
  }

  func look(_ org: Slug, _ since: Timestamp) async throws -> [WorkOperation] {
    try await running(org).compactMap { _, newest in newest.flatMap { $0.createdAt >= since ? $0 : nil } }
  }

  /// The Instances of an Org that run, each with its newest operation.
  private func running(_ org: Slug) async throws -> [(Instance, WorkOperation?)] {
    try await store.read { tx in
      guard let org = try FleetRecords.org(org, in: tx) else { return [] }
      return try FleetRecords.instances(of: org.id, in: tx).filter { $0.state == .active }
        .map { ($0, try WorkRecords.of($0.id.text, limit: 1, in: tx).first) }
    }
  }

  /// Whether the Org's onboarding may make the first run of an Instance.
  private func provisions(_ instance: Slug, of org: Slug) async throws -> Bool {
    do {
      let view = try await onboarding.view(org: org)
      return view.instance?.slug == instance && view.state == .readyToProvision
    } catch let error as AWError where error.code == .onboardingUnknown {
      return false
    }
  }
}
