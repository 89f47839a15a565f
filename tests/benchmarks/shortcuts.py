import argparse, sys, time
from pathlib import Path
import torch
from planted.cases import cases
from planted.material import material
from planted.training import audited, classifier, truth
p=argparse.ArgumentParser(); p.add_argument("--data-root",type=Path); p.add_argument("--cache",type=Path); p.add_argument("--only",default=""); p.add_argument("--audit-pictures",type=int,default=800)
a=p.parse_args(); torch.set_num_threads(1)
loaded={}
for c in cases():
    if a.only not in c.name: continue
    if c.data not in loaded:
        t=time.time(); loaded={c.data: material(c.data,a.data_root,a.cache)}; print(c.data, time.time()-t, flush=True)
    m=loaded[c.data]
    clf,s=classifier(c,m,a.cache)
    d=audited(c,m,a.audit_pictures)
    t=truth(clf,d,c)
    print(f"{c.name:36} {s:5.1f}s acc {t.accuracy:.3f} clean {t.without:.3f} lost {t.lost:+.3f} gained {t.gained:+.3f} dep {t.depends} worst {t.worst} present {int(d.present.sum())}/{len(d.labels)}",flush=True)
