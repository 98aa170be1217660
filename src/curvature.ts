/**
 * Kronograd's public API for curvature: operators, spectra, second-order optimizers, gradient flow. In every runtime, and
 * apart from `kronograd`, so that who trains does not load it.
 */
export type { CurvatureBatch, CurvatureProblem } from './curvature/batch-products.js';
export type { BlockOperator } from './curvature/blocks.js';
export { gaussNewtonBlock, hessianBlock } from './curvature/blocks.js';
export type {
  ConjugateGradientOptions,
  ConjugateGradientResult,
  Iterate,
} from './curvature/conjugate-gradient.js';
export { ConjugateGradient } from './curvature/conjugate-gradient.js';
export { eigenvaluesOf, toDense } from './curvature/dense.js';
export { Diagonal } from './curvature/diagonal.js';
export { fisherOperator } from './curvature/fisher.js';
export type { GradientFactors, Rows } from './curvature/gradient-factors.js';
export { gradientFactors } from './curvature/gradient-factors.js';
export type { KfacOperator } from './curvature/kfac.js';
export { kfacOperator } from './curvature/kfac.js';
export type { KfacBlock, TimeTreatment } from './curvature/kfac-blocks.js';
export type { FactorTensors, KfacOptions, KfacSource } from './curvature/kfac-factors.js';
export type { KroneckerPart } from './curvature/kronecker.js';
export { kroneckerBlock } from './curvature/kronecker.js';
export { ExplicitKronecker } from './curvature/kronecker-explicit.js';
export type { BatchFactors, ExplicitPart } from './curvature/kronecker-factors.js';
export type { KroneckerCosts, ProductFlops } from './curvature/kronecker-rule.js';
export { kroneckerCosts, kroneckerSumFor } from './curvature/kronecker-rule.js';
export type { EigenvalueBounds, KroneckerSample } from './curvature/kronecker-spectrum.js';
export { kroneckerBounds, kroneckerEigenvalues } from './curvature/kronecker-spectrum.js';
export type { EigenPairs, LanczosOptions, LanczosResult } from './curvature/lanczos.js';
export { lanczos } from './curvature/lanczos.js';
export { Identity, LinearOperator, SymmetricOperator } from './curvature/linear-operator.js';
export { gaussNewtonOperator, hessianOperator } from './curvature/model-operator.js';
export { sampledTargets } from './curvature/sampled-targets.js';
export type { SpectralDensity, SpectralDensityOptions } from './curvature/spectral-density.js';
export { spectralDensity } from './curvature/spectral-density.js';
export type { StructuralDamping } from './curvature/structural-damping.js';
export { structurallyDampedOperator } from './curvature/structural-damping.js';
export type { Estimate, HutchinsonResult } from './curvature/trace.js';
export { hutchinson, hutchPlusPlus } from './curvature/trace.js';
export { VectorSpace } from './curvature/vector-space.js';
export type { Carousel, CarouselCondition } from './diagnostics/carousel.js';
export type { Certificate, RecurrenceCertificates, RecurrenceNumbers } from './diagnostics/certificates.js';
export { diagnosisChart } from './diagnostics/chart.js';
export type { Diagnosis, DiagnosisOptions, LayerDiagnosis } from './diagnostics/diagnose.js';
export { diagnose } from './diagnostics/diagnose.js';
export type { GateStatistics } from './diagnostics/gates.js';
export type { LayerTrace } from './diagnostics/layer-trace.js';
export type { DiagnosisBatch, DiagnosisProblem, TracedLayer } from './diagnostics/model-trace.js';
export { traceModel } from './diagnostics/model-trace.js';
export { diagnosisLines } from './diagnostics/report.js';
export type { LayerSpectra, Spectrum } from './diagnostics/spectra.js';
export type { StepJacobian } from './diagnostics/step-jacobians.js';
export { stepJacobians } from './diagnostics/step-jacobians.js';
export type { Verdict, VerdictKind } from './diagnostics/verdict.js';
export type { HessianFreeOptions, HessianFreeStep } from './optim/hessian-free.js';
export { HESSIAN_FREE_DEFAULTS, HessianFree } from './optim/hessian-free.js';
export type { KfacStep, KfacTrainingOptions } from './optim/kfac.js';
export { KFAC_DEFAULTS, Kfac } from './optim/kfac.js';
export type { LbfgsOptions, LbfgsStep } from './optim/lbfgs.js';
export { LBFGS_DEFAULTS, Lbfgs } from './optim/lbfgs.js';
export type { SecondOrderOptimizer, SecondOrderStep } from './optim/second-order.js';
export type { AxisOptions, LineChart, Series as ChartSeries } from './plot/line-chart.js';
export { lineChart } from './plot/line-chart.js';
