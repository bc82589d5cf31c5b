import Basics
import Fleet
import Work

/// What an operation on an Instance means for the onboarding that asked for it: a pure translation.
enum OnboardingJob {
  /// - Parameters:
  ///   - digest: of the desired state that the operation carries out.
  ///   - instance: what AW was asked to make of the Instance; nil when it is gone.
  static func of(
    _ progress: OperationProgress, digest: String, operation: OperationID, instance: Instance.State?, _ org: Slug
  ) -> OnboardingFacts.Job {
    switch progress.state {
    case .running, .undoing: return .running
    case .failed:
      let failure = progress.failure
      return .failed(
        digest: digest,
        .init(
          code: failure?.code ?? ErrorCode.internalFailure.id,
          "Provisioning failed at '\(failure?.step ?? "?")': \(failure?.message ?? "it does not say why.")",
          who: .operator,
          next: (failure.map { $0.next + " " } ?? "") + "Then try again: 'aw org onboard \(org) --provision'."))
    case .succeeded:
      // A removed Instance proves nothing any more.
      guard let instance, instance != .removing, instance != .failed else { return .none }
      return report(progress, digest: digest, operation: operation).map { .succeeded($0) } ?? .none
    }
  }

  private static func report(
    _ progress: OperationProgress, digest: String, operation: OperationID
  ) -> FirstRunReport? {
    guard let step = progress.steps.last(where: { $0.name == InstanceStep.verify.rawValue }),
      let chain = try? step.detail.decode(ChainReport.self), let at = chain.at
    else { return nil }
    return FirstRunReport(
      digest: digest, passed: chain.isVerified, at: at,
      checks: chain.results.map { .init(link: $0.link.title, outcome: $0.outcome.word.rawValue) },
      operation: operation.text, channels: channels(progress))
  }

  /// What the step that prepared it made of its channels; nil of an operation of a release that did not say.
  private static func channels(_ progress: OperationProgress) -> [FirstRunReport.Channel]? {
    progress.steps.last { $0.name == InstanceStep.prepare.rawValue }?.detail[InstanceSteps.channelsMember]
      .flatMap { try? $0.decode([FirstRunReport.Channel].self) }
  }
}
